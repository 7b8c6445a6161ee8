import pytest

from mcltoolkit.testing import CorrespondenceTests


class Transport(CorrespondenceTests):
    component = "TransportCorrespondence"
    plugins = ("mcltoolkit_unite",)


class TestLearnedWeights(Transport):
    settings = {"embed": 8, "blocks": 1, "mask_mix": True, "epsilon": 0.1, "block": 24}


class TestBalanced(Transport):
    settings = {"hidden": 8, "embed": 8, "blocks": 0, "weights": "uniform", "rho": None} | {
        "warp": "patch",
        "coordinates": True,
        "centre": "positions",
    }


@pytest.mark.parametrize("tests", [TestLearnedWeights, TestBalanced])
def test_the_class_is_the_plugins_own(tests):
    assert type(tests().build()).__module__ == "mcltoolkit_unite.correspondence"
