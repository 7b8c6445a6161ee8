import sys
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F

from mcltoolkit.errors import ConfigError, DataError, WeightsError
from mcltoolkit.metrics import LPIPS, LPIPSDiversity, LPIPSNetwork
from mcltoolkit.metrics.inception import to_bytes


@pytest.fixture(scope="module")
def network():
    return LPIPSNetwork("random", "squeeze")


def plain_lpips(network, a, b):
    """By the paper's formula in float64 from the backbone's features and the linear weights."""
    scaled = []
    for image in (a, b):
        shift = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
        scale = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
        scaled.append(network.network.net((image[None] - shift) / scale))
    total = 0.0
    for one, two, linear in zip(*scaled, network.network.lins, strict=True):
        one, two = (f[0].double() / (f[0].double().norm(dim=0) + 1e-10) for f in (one, two))
        weight = linear.model[-1].weight.double().flatten()
        total += float(((one - two) ** 2 * weight.view(-1, 1, 1)).sum(0).mean())
    return total


def test_network_equals_the_formula(network, samples):
    for sample in samples:
        expected = plain_lpips(network, sample.fake, sample.truth)
        found = network(sample.fake[None], sample.truth[None])
        assert float(found) == pytest.approx(expected, rel=1e-4)
    assert float(network(sample.fake[None], sample.fake[None])) == 0


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_backbone_weights_come_from_torchvisions_file(net, tmp_path):
    import torchvision.models

    from mcltoolkit.metrics.perceptual_distance import BACKBONES

    model = getattr(torchvision.models, BACKBONES[net])(weights=None)
    file = tmp_path / "backbone.pth"
    torch.save(model.state_dict(), file)
    network = LPIPSNetwork(file, net)
    x = torch.randn(1, 3, 64, 64)
    first = next(index for index, m in enumerate(model.features) if isinstance(m, torch.nn.ReLU))
    expected = F.relu(model.features[:first](x))
    assert torch.equal(network.network.net(x)[0], expected)
    last = {"alex": 12, "squeeze": 13}[net]  # the last ReLU or fire module
    assert torch.equal(network.network.net(x)[-1], model.features[:last](x))
    assert len(network.fingerprint) == 64
    del (state := model.state_dict())["features.0.weight"]
    torch.save(state, file)
    with pytest.raises(WeightsError, match="does not fit: .*Missing key"):
        LPIPSNetwork(file, net)


def test_metric_counts_paired_samples_only(network, sample):
    cases = [sample(0), sample(1, paired=False), sample(2)]
    metric = LPIPS("random", net="squeeze")
    metric.process(None, cases)
    expected = [plain_lpips(network, cases[i].fake, cases[i].truth) for i in (0, 2)]
    assert metric.evaluate(3)["lpips"] == pytest.approx(sum(expected) / 2, rel=1e-4)
    assert set(metric.per_sample) == {"sample 0", "sample 2"}
    told = metric.passports()["lpips"]
    assert told["samples"] == 2
    assert told["layers"].startswith("squeezenet1_1")
    assert told["weights_sha256"] == "random, seed 0"


def test_diversity_is_the_mean_of_pairs_and_then_of_conditions(network, sample):
    names = ["a", "b", "a", "a", "b", "alone"]
    cases = [sample(i, name=name) for i, name in enumerate(names)]
    metric = LPIPSDiversity("random", net="squeeze")
    metric.process(None, cases[:4])
    metric.process(None, cases[4:])
    seen = [to_bytes(case.fake).float() / 127.5 - 1 for case in cases]
    groups = {"a": [0, 2, 3], "b": [1, 4]}
    means = []
    for members in groups.values():
        pairs = list(combinations(members, 2))
        means.append(sum(plain_lpips(network, seen[i], seen[j]) for i, j in pairs) / len(pairs))
    found = metric.evaluate(6)
    assert found == {"lpips_diversity": pytest.approx(sum(means) / 2, rel=1e-4)}
    assert metric.passports()["lpips_diversity"]["conditions"] == 2


def test_diversity_needs_two_outputs(sample):
    metric = LPIPSDiversity("random", net="squeeze")
    metric.process(None, [sample(0), sample(1)])
    with pytest.raises(DataError, match="each of the 2 conditions has one"):
        metric.evaluate(2)


def test_settings_are_checked(network, monkeypatch):
    with pytest.raises(ConfigError, match="LPIPS.net is 'alexnet'.*did you mean 'alex'"):
        LPIPS("random", net="alexnet")
    with pytest.raises(WeightsError, match=r"LPIPS \(alexnet\) needs weights.*--lpips-weights"):
        LPIPS()
    with pytest.raises(DataError, match="both must be of one size"):
        network(torch.zeros(1, 3, 40, 40), torch.zeros(1, 3, 40, 44))
    with pytest.raises(DataError, match="sides of at least 32"):
        network(torch.zeros(1, 3, 31, 40), torch.zeros(1, 3, 31, 40))
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ConfigError, match=r"pip install 'mcltoolkit\[metrics\]'"):
        LPIPSNetwork("random", "vgg")
