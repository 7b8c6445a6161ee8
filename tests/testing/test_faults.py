"""The conformance tests fail for components with one fault each, and for no other reason."""

import os

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcltoolkit.correspondence import CosineCorrespondence
from mcltoolkit.layers import check_divisible
from mcltoolkit.losses.base import Loss
from mcltoolkit.registry import CORRESPONDENCES, DISCRIMINATORS, ENCODERS, GENERATORS, LOSSES
from mcltoolkit.structures import DiscriminatorPass, Painting
from mcltoolkit.testing import (
    CorrespondenceTests,
    DiscriminatorTests,
    EncoderTests,
    GeneratorTests,
    LossTests,
)


class Patches(nn.Module):
    """A sound encoder."""

    stride = 4

    def __init__(self, in_channels, out_channels=8):
        super().__init__()
        self.out_channels = out_channels
        self.patches = nn.Conv2d(in_channels, out_channels, 4, 4)

    def forward(self, x):
        check_divisible(x.shape[-2], x.shape[-1], self.stride, "Patches")
        return self.patches(x)


class WrongStride(Patches):
    stride = 8


class UnusedLayer(Patches):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.idle = nn.Linear(2, 2)


class MixedSamples(Patches):
    def forward(self, x):
        return super().forward(x - x.mean(0, keepdim=True) / 2)


class Overflow(Patches):
    def forward(self, x):
        return super().forward(x) * (float("inf") if torch.is_autocast_enabled("cpu") else 1.0)


class Unseeded(Patches):
    def forward(self, x):
        noise = torch.randn(
            1, generator=torch.Generator().manual_seed(int.from_bytes(os.urandom(2)))
        )
        return super().forward(x) + noise


class HiddenState(Patches):
    def __init__(self, in_channels):
        super().__init__(in_channels)
        self.offset = torch.rand(1)

    def forward(self, x):
        return super().forward(x) + self.offset


class AnySize(Patches):
    def forward(self, x):
        return self.patches(x)


def check(base, component, settings=None, **attributes):
    """Names of the tests that fail, of those that need no other process."""
    registry = base.registry if hasattr(base, "registry") else LOSSES
    registry.register_module(component.__name__, module=component)
    try:
        made = {"component": component.__name__, "settings": settings or {}, **attributes}
        tests = type("Tests", (base,), made)()
        failed = []
        for name in dir(tests):
            if name.startswith("test_") and name != "test_distributed":
                try:
                    getattr(tests, name)()
                except (AssertionError, RuntimeError):
                    failed.append(name)
        return failed
    finally:
        registry._module_dict.pop(component.__name__)
        registry.origins.pop(component.__name__)


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        (Patches, []),
        (WrongStride, ["test_shapes"]),
        (UnusedLayer, ["test_gradients"]),
        (MixedSamples, ["test_samples_are_independent"]),
        (Overflow, ["test_mixed_precision"]),
        (Unseeded, ["test_deterministic", "test_samples_are_independent"]),
        (HiddenState, ["test_state_dict_round_trip"]),
        (AnySize, ["test_refuses_sizes"]),
    ],
)
def test_faults_of_encoders(fault, failed):
    found = set(check(EncoderTests, fault))
    # what no seed governs differs wherever two passes are compared
    assert found >= set(failed) if fault is Unseeded else found == set(failed)


class Painter(nn.Module):
    """A sound generator with something to tell."""

    provides = frozenset({"brightness"})

    def __init__(self, context_channels):
        super().__init__()
        self.paint = nn.Conv2d(context_channels, 3, 1)

    def forward(self, warped, condition):
        image = torch.tanh(self.paint(torch.cat([warped, condition], 1)))
        return Painting(image, {"brightness": image.mean((1, 2, 3))})


class Unbounded(Painter):
    def forward(self, warped, condition):
        return 3 * self.paint(torch.cat([warped, condition], 1))


class Unnamed(Painter):
    provides = frozenset()


class DetachedInput(Painter):
    def forward(self, warped, condition):
        return super().forward(warped.detach(), condition)


def test_faults_of_generators():
    assert check(GeneratorTests, Painter) == []
    assert check(GeneratorTests, Unbounded) == ["test_shapes"]
    assert check(GeneratorTests, Unnamed) == ["test_shapes"]
    assert check(GeneratorTests, DetachedInput) == ["test_gradients"]


class Judge(nn.Module):
    """A sound discriminator."""

    def __init__(self, in_channels):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(in_channels, 4, 3, 2), nn.Conv2d(4, 1, 3)])

    def forward(self, condition, image):
        first = F.leaky_relu(self.layers[0](torch.cat([condition, image], 1)))
        return DiscriminatorPass([[first, self.layers[1](first)]])


class NoScores(Judge):
    def forward(self, condition, image):
        first, scores = super().forward(condition, image).scales[0]
        return DiscriminatorPass([[scores, first]])


def test_faults_of_discriminators():
    assert check(DiscriminatorTests, Judge) == []
    assert check(DiscriminatorTests, NoScores) == ["test_shapes"]


class Rows:
    """A cosine match with one answer changed."""

    def __init__(self, match):
        self.__dict__.update(vars(match), inner=match)

    def __getattr__(self, name):
        return getattr(self.inner, name)


class HalfRows(CosineCorrespondence):
    def make_match(self, *features):
        match = Rows(super().make_match(*features))
        match.probabilities = lambda rows=None: match.inner.probabilities(rows) / 2
        return match


class OtherWarp(CosineCorrespondence):
    def make_match(self, *features):
        match = Rows(super().make_match(*features))
        match.warp = lambda values: match.inner.warp(values).flip(2)
        return match


class LostLabels(CosineCorrespondence):
    def forward(self, *inputs, **named):
        alignment = super().forward(*inputs, **named)
        alignment.warped_labels = None
        return alignment


class Talkative(CosineCorrespondence):
    """Says more than it promises, and promises what it does not say."""

    provides = frozenset({"promised"})

    def forward(self, *inputs, **named):
        alignment = super().forward(*inputs, **named)
        alignment.extras["said"] = alignment.warped
        return alignment


class OneSize(CosineCorrespondence):
    def make_match(self, ours, theirs):
        if ours.shape != theirs.shape:
            raise RuntimeError("sizes differ")
        return super().make_match(ours, theirs)


def test_faults_of_correspondences():
    settings = dict(embed=8, blocks=1)
    of_match = ["test_exemplar_of_another_size", "test_shapes"]
    assert check(CorrespondenceTests, HalfRows, settings) == of_match
    assert check(CorrespondenceTests, OtherWarp, settings) == of_match
    assert set(check(CorrespondenceTests, LostLabels, settings)) >= {"test_shapes"}
    found = check(CorrespondenceTests, Talkative, settings)
    assert set(found) >= {"test_shapes", "test_provides"}
    assert check(CorrespondenceTests, OneSize, settings) == ["test_exemplar_of_another_size"]
    assert check(CorrespondenceTests, OneSize, settings, other_exemplar=None) == []


class Distance(Loss):
    """A sound loss."""

    requires = frozenset({"truth", "truth_features"})

    def forward(self, translation):
        ours = translation.need("condition_features").float()
        return (ours - translation.need("truth_features").float()).square().mean()


class Detached(Distance):
    def forward(self, translation):
        return super().forward(translation).detach() + 0 * translation.fake.sum()


class AMap(Distance):
    def forward(self, translation):
        return translation.fake.square().mean((1, 2, 3))


class Angle(Distance):
    """The square root has no slope at 0."""

    def forward(self, translation):
        return super().forward(translation).sqrt()


class WarpAngle(Distance):
    """The same of the warped exemplar."""

    def forward(self, translation):
        warped = translation.alignment.warped.float()
        return (warped - translation.batch.truth).square().mean().sqrt()


class NoWeight(Distance):
    def __init__(self, weight=1.0):
        super().__init__()


class HalfOnly(Distance):
    def forward(self, translation):
        if translation.condition_features.dtype != torch.float32:
            raise RuntimeError("expected float32")
        return super().forward(translation)


class Alone(Distance):
    paired_only = True


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        (Distance, []),
        (Detached, ["test_gradients"]),
        (AMap, ["test_scalar"]),
        (Angle, ["test_degenerate_features"]),
        (WarpAngle, ["test_degenerate_features"]),
        (NoWeight, ["test_weight"]),
        (HalfOnly, ["test_half_precision_features"]),
        (Alone, ["test_paired_only"]),
    ],
)
def test_faults_of_losses(fault, failed):
    found = check(LossTests, fault)
    assert found == failed or (fault is AMap and failed[0] in found)


def test_a_component_that_ddp_cannot_train_is_told(tmp_path, monkeypatch):
    """A parameter used on one rank alone: seen by two processes only."""
    (tmp_path / "lopsided.py").write_text(
        "import torch\n"
        "import torch.distributed as dist\n"
        "from torch import nn\n"
        "from mcltoolkit import ENCODERS, hookimpl\n\n"
        "@ENCODERS.register_module()\n"
        "class Lopsided(nn.Module):\n"
        "    out_channels, stride = 4, 4\n\n"
        "    def __init__(self, in_channels):\n"
        "        super().__init__()\n"
        "        self.a = nn.Conv2d(in_channels, 4, 4, 4)\n"
        "        self.b = nn.Conv2d(in_channels, 4, 4, 4)\n\n"
        "    def forward(self, x):\n"
        "        if dist.is_initialized() and dist.get_rank():\n"
        "            return self.a(x)\n"
        "        return self.a(x) + self.b(x)\n\n"
        "@hookimpl\n"
        "def register_components():\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from mcltoolkit.testing.ranks import ranks

    ranks().close()  # those that run already do not know the new path
    attributes = {"component": "Lopsided", "plugins": ("lopsided",)}
    tests = type("Tests", (EncoderTests,), attributes)()
    try:
        tests.test_gradients()
        with pytest.raises((AssertionError, RuntimeError), match="rank|None|gradient"):
            tests.test_distributed()
    finally:
        ENCODERS._module_dict.pop("Lopsided", None)


def test_registries_are_as_before():
    for registry in (ENCODERS, CORRESPONDENCES, GENERATORS, DISCRIMINATORS, LOSSES):
        assert not [n for n, c in registry.module_dict.items() if c.__module__ == __name__]
