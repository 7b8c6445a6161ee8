import torch.distributed as dist

from mcltoolkit.engine.agreement import any_rank
from mcltoolkit.testing.ranks import ranks


def flags_of_rank():
    rank = dist.get_rank()
    return any_rank(rank == 0, rank == 1, False, True)


def test_a_flag_of_one_rank_is_a_flag_of_all():
    assert ranks().run(flags_of_rank) == [(True, True, False, True)] * 2


def test_a_single_process_agrees_with_itself():
    assert any_rank(True, False) == (True, False)
