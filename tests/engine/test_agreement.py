import torch.distributed as dist

from mcltoolkit.engine.agreement import any_rank, same_on_all_ranks
from mcltoolkit.testing.ranks import ranks


def flags_of_rank():
    rank = dist.get_rank()
    return any_rank(rank == 0, rank == 1, False, True)


def numbers_of_rank():
    return (
        same_on_all_ranks(7),
        same_on_all_ranks(7 + dist.get_rank()),
        same_on_all_ranks(-dist.get_rank()),
    )


def test_numbers_are_compared_over_ranks():
    assert ranks().run(numbers_of_rank) == [(True, False, False)] * 2
    assert same_on_all_ranks(3)


def test_a_flag_of_one_rank_is_a_flag_of_all():
    assert ranks().run(flags_of_rank) == [(True, True, False, True)] * 2


def test_a_single_process_agrees_with_itself():
    assert any_rank(True, False) == (True, False)
