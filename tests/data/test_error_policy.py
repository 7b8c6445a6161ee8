import pytest

from mcltoolkit.data.error_policy import ErrorPolicy
from mcltoolkit.errors import ConfigError


def test_the_forms_of_the_setting():
    assert ErrorPolicy.of(None) == ErrorPolicy("stop")
    assert not ErrorPolicy.of(None).skips
    assert ErrorPolicy.of("skip").skips
    assert ErrorPolicy.of(dict(policy="skip", max_skipped=3)).limit(1000) == 3
    assert ErrorPolicy.of(dict(policy="skip", max_skipped=0.01)).limit(1000) == 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("skp", "allowed are stop, skip; did you mean 'skip'"),
        (dict(polcy="skip"), "polcy; allowed are the keys policy and max_skipped"),
        (dict(policy="skip", max_skipped=-1), "max_skipped is -1"),
        (dict(policy="skip", max_skipped=1.5), "max_skipped is 1.5"),
        (dict(policy="skip", max_skipped=float("nan")), "max_skipped is nan"),
        (dict(policy="skip", max_skipped="few"), "max_skipped is 'few'"),
        (dict(policy="skip", max_skipped=True), "max_skipped is True"),
        (dict(policy=["skip"]), r"policy is \['skip'\]"),
        (7, "on_error is 7"),
    ],
)
def test_what_is_not_allowed(given, message):
    with pytest.raises(ConfigError, match=message):
        ErrorPolicy.of(given)
