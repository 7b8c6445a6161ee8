import pytest

from mcltoolkit import errors
from mcltoolkit.errors import ToolkitError, UnknownComponentError, near_matches

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind is not ToolkitError
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_caught_as_the_toolkits_and_shows_its_message(kind):
    with pytest.raises(ToolkitError) as caught:
        raise kind("line one\nline 'two'")
    assert str(caught.value) == "line one\nline 'two'"


def test_callers_may_catch_pythons_own_kinds():
    assert issubclass(errors.ConfigError, ValueError)
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.WeightsError, RuntimeError)
    assert issubclass(UnknownComponentError, (KeyError,))
    assert str(UnknownComponentError()) == ""


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("HingLoss", "; did you mean 'HingeLoss'?"),
        ("hingeloss", "; did you mean 'HingeLoss'?"),
        ("zzz", ""),
    ],
)
def test_near_matches_ignore_case_and_stay_silent_when_nothing_is_near(word, hint):
    assert near_matches(word, ["HingeLoss", "Mask"]) == hint


def test_at_most_three_near_matches():
    hint = near_matches("loss", ["loss1", "loss2", "loss3", "loss4"])
    assert hint.count(" or ") == 2
