"""The converted networks against the released ones, written as plain formulas."""

import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.conversion import to_toolkit
from mcltoolkit.structures import Batch

SIZE = (64, 64)


def one_hot(channels):
    rough = torch.randint(channels, (2, 1, 8, 8)).double()
    labels = F.interpolate(rough, size=SIZE, mode="nearest").long()[:, 0]
    return F.one_hot(labels, channels).permute(0, 3, 1, 2).double()


def picture():
    rough = F.interpolate(torch.randn(2, 3, 8, 8), size=SIZE, mode="bilinear")
    return (0.5 * rough + 0.1 * torch.randn(2, 3, *SIZE)).clamp(-1, 1).double()


def compare(name, ours, theirs):
    assert ours.shape == theirs.shape, name
    assert theirs.std() > 1e-3, f"{name} is degenerate"
    difference = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    assert difference < 1e-6, f"{name} differs by {difference:.1e}"


def check(cocosnet, build, task, options, **asked):
    states = cocosnet.make(**options)
    checkpoint = to_toolkit(task, **states, **asked)
    translator, discriminator = build(checkpoint)
    states = {name: {k: v.double() for k, v in s.items()} for name, s in states.items()}
    channels = options["channels"]
    condition, exemplar_condition = one_hot(channels), one_hot(channels)
    exemplar, other = picture(), picture()
    theirs = cocosnet.correspond(states, options, condition, exemplar, exemplar_condition)
    seen = {}
    for name, part in (("condition", "condition_encoder"), ("exemplar", "image_encoder")):
        getattr(translator, part).register_forward_hook(
            lambda _, __, out, name=name: seen.__setitem__(name, out)
        )
    batch = Batch(
        names=["a", "b"],
        exemplar=exemplar,
        paired=torch.tensor([False, False]),
        condition=condition,
        exemplar_condition=exemplar_condition,
    )
    with torch.no_grad():
        ours = translator(batch, frozenset({"warped_labels", "cycle"}))
        judged = discriminator(condition, other)
    alignment = ours.alignment
    for name in ("condition", "exemplar"):
        compare(f"{name} features", seen[name], theirs[name])
        unit = theirs[name] / theirs[name].norm(dim=1, keepdim=True)
        compare(f"unit {name} features", getattr(ours, f"{name}_features"), unit)
    compare("theta", alignment.match.queries, theirs["theta"])
    compare("phi", alignment.match.keys, theirs["phi"])
    compare("matrix", alignment.match.probabilities(), theirs["logits"].softmax(2))
    for name in ("warped", "warped_labels", "cycle"):
        compare(name, getattr(alignment, name), theirs[name])
    compare("output", ours.fake, cocosnet.generate(states, theirs["warped"], condition))
    expected = cocosnet.discriminate(states, condition, other)
    assert len(expected) == len(judged.scales)
    for i, layers in enumerate(expected):
        for j, layer in enumerate(layers):
            compare(f"discriminator {i}.{j}", judged.scales[i][j], layer)


@pytest.mark.parametrize("task", ["ade20k", "celebahq", "celebahqedge", "deepfashion"])
def test_every_output_equals_the_released_one(cocosnet, build, task):
    check(cocosnet, build, task, cocosnet.TASKS[task])


@pytest.mark.parametrize(
    ("task", "changed"),
    [
        ("celebahq", dict(non_local=True, gate=True, deeper=True)),
        ("ade20k", dict(deeper=True, dilated=True, coordinates=True)),
        ("celebahqedge", dict(batch_norm=True, attention=False, mask_mix=False)),
        ("deepfashion", dict(base=6, hidden=5, embed=4, mask_mix=True, scales=1)),
    ],
)
def test_options_that_the_shapes_tell(cocosnet, build, task, changed):
    options = {**cocosnet.TASKS[task], **changed}
    check(cocosnet, build, task, options, allow_other_architecture=True)


def test_effective_weights_in_evaluation_mode(cocosnet, build):
    """W / (u^T W v), with the stored vectors: these are not the exact singular vectors here."""
    states = cocosnet.make(**cocosnet.TASKS["ade20k"])
    translator, _ = build(to_toolkit("ade20k", **states))
    state = {k: v.double() for k, v in states["generator"].items()}
    original, u, v = (state[f"up_1.conv_0.weight_{kind}"] for kind in ("orig", "u", "v"))
    sigma = sum(u[i] * original[i].flatten() @ v for i in range(len(u)))
    largest = torch.linalg.matrix_norm(original.flatten(1), ord=2)
    assert abs(sigma / largest - 1) > 1e-6
    found = translator.generator.stages["up_1"].conv_0.weight
    torch.testing.assert_close(found, original / sigma, rtol=1e-12, atol=0)
