import mmengine
import pytest

from mcltoolkit.errors import UnknownComponentError
from mcltoolkit.registry import HOOKS, LOSSES, MODELS, REGISTRIES, Registry


def test_unknown_name_lists_near_matches_and_the_remedy():
    with pytest.raises(UnknownComponentError) as caught:
        LOSSES.get("HingeAdversarialLos")
    message = str(caught.value)
    assert "did you mean 'HingeAdversarialLoss'" in message
    assert "plugins=[...]" in message


def test_unknown_name_of_a_child_registry_knows_the_parents_names():
    with pytest.raises(UnknownComponentError, match="did you mean 'LoggerHook'"):
        HOOKS.get("LogerHook")


def test_children_see_mmengines_components():
    assert HOOKS.get("LoggerHook") is mmengine.hooks.LoggerHook
    assert HOOKS.get("EMAHook") is not mmengine.hooks.EMAHook


def test_mmengine_finds_our_components_through_its_root_with_our_scope():
    found = mmengine.registry.MODELS.get("mcltoolkit.ExemplarGAN")
    assert found is MODELS.get("ExemplarGAN")


def test_a_dotted_path_needs_no_registration():
    assert LOSSES.get("collections.OrderedDict").__name__ == "OrderedDict"


def test_every_project_kind_is_a_root_of_its_own():
    for kind in ("encoders", "correspondences", "generators", "discriminators", "losses"):
        assert REGISTRIES[kind].parent is None
        assert REGISTRIES[kind].module_dict, kind


def test_same_name_twice_is_an_error_and_the_same_object_twice_is_not():
    registry = Registry("thing")

    class Thing:
        pass

    first = Thing
    registry.register_module(module=first)
    registry.register_module(module=first)

    class Thing:
        pass

    with pytest.raises(KeyError, match="'Thing' is already registered"):
        registry.register_module(module=Thing)
    assert registry.get("Thing") is first


def test_origin_names_the_plugin():
    assert LOSSES.get("MarginalContrastiveLoss")
    assert LOSSES.origins["MarginalContrastiveLoss"] == "mcltoolkit"
