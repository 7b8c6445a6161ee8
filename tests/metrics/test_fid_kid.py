import hashlib
import sys

import numpy as np
import pytest
import scipy.linalg
import torch

from mcltoolkit.errors import ConfigError, DataError, WeightsError
from mcltoolkit.metrics import FID, KID, InceptionFeatures, fid, kid
from mcltoolkit.metrics.inception import to_bytes
from mcltoolkit.pretrained import fill_random, fingerprint, read_state


def features(seed, count=60, width=8, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=generator)
    return torch.randn(count, width, generator=generator) @ mix + shift


def plain_fid(a, b):
    """The formula in float64, with scipy's matrix square root."""
    a, b = a.double().numpy(), b.double().numpy()
    sigma_a, sigma_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(sigma_a @ sigma_b)
    mean = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return mean + np.trace(sigma_a) + np.trace(sigma_b) - 2 * np.trace(np.real(root))


def plain_mmd(a, b):
    """Unbiased squared MMD with the cubic kernel, number by number."""
    n, width = a.shape
    k = lambda x, y: (float(x @ y) / width + 1) ** 3  # noqa: E731
    within = sum(k(s[i], s[j]) for s in (a, b) for i in range(n) for j in range(n) if i != j)
    across = sum(k(x, y) for x in a for y in b)
    return within / (n * (n - 1)) - 2 * across / (n * n)


@pytest.mark.parametrize(("width", "shift"), [(8, 0.0), (8, 2.0), (30, 0.3)])
def test_fid_equals_the_formula_with_scipys_square_root(width, shift):
    a, b = features(1, width=width), features(2, width=width, count=75, shift=shift)
    assert fid(a, b) == pytest.approx(plain_fid(a, b), rel=1e-9)
    assert fid(a, a) == pytest.approx(0, abs=1e-6)


def test_fid_of_gaussians_has_a_closed_form():
    a = torch.randn(4000, 2, dtype=torch.float64)
    a = (a - a.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(a.T)).T)
    b = a * torch.tensor([2.0, 3.0]) + torch.tensor([1.0, 0.0])
    assert fid(a, b) == pytest.approx(1 + (2 - 1) ** 2 + (3 - 1) ** 2, rel=1e-9)


def test_kid_of_whole_sets_equals_a_double_loop():
    a, b = features(1, count=12), features(2, count=12, shift=0.5)
    mean, deviation = kid(a, b, subsets=3, subset_size=12)
    assert mean == pytest.approx(plain_mmd(a.double(), b.double()), rel=1e-9)
    assert deviation == pytest.approx(0, abs=1e-9 * abs(mean))


def test_kid_draws_the_subsets_of_its_seed():
    a, b = features(1, count=12), features(2, count=15, shift=0.5)
    random = np.random.RandomState(5)  # what torch-fidelity documents for rng_seed
    expected = []
    for _ in range(4):
        first = random.choice(12, 6, replace=False)
        second = random.choice(15, 6, replace=False)
        expected.append(plain_mmd(a[first].double(), b[second].double()))
    mean, deviation = kid(a, b, subsets=4, subset_size=6, seed=5)
    assert (mean, deviation) == pytest.approx((np.mean(expected), np.std(expected)), rel=1e-9)
    assert kid(a, b, 4, 6, seed=5) == (mean, deviation), "bit for bit"
    assert kid(a, b, 4, 6, seed=6) != (mean, deviation)


def test_few_samples_are_refused():
    a = features(1, count=8, width=8)
    with pytest.raises(DataError, match="FID of 7 images: at least 8 are needed.*allow_small"):
        fid(a[:7], a)
    assert fid(a[:7], a, allow_small=True) > 0
    with pytest.raises(DataError, match="FID of 1 images: at least 2"):
        fid(a[:1], a, allow_small=True)
    with pytest.raises(DataError, match="KID of 8 images with subset_size=9"):
        kid(a, a, subset_size=9)
    with pytest.raises(DataError, match="not finite"):
        fid(a, torch.full_like(a, float("nan")))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """torch-fidelity's file, but for the values."""
    file = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(InceptionFeatures("random", seed=3).network.state_dict(), file)
    return file


def test_the_real_network_reads_the_weights_of_a_path(weights):
    """Against torch-fidelity's own class on the same file, from the 8-bit image on."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    before = torch.random.get_rng_state()
    ours = InceptionFeatures(weights)
    assert torch.equal(torch.random.get_rng_state(), before)
    theirs = FeatureExtractorInceptionV3("inception", ["2048"], str(weights))
    images = torch.rand(2, 3, 20, 24) * 2 - 1
    expected = theirs(((images + 1) / 2 * 255).round().byte())[0]
    found = ours(images)
    assert found.shape == (2, 2048)
    assert torch.equal(found, expected)
    assert found.std() > 0.01, "random weights tell images apart"
    assert ours.fingerprint == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_fid_and_kid_look_once_and_tell_how(weights, samples):
    both = FID(weights), KID(weights, subsets=2, subset_size=3, seed=4)
    assert both[0].shared is both[1].shared
    passes = []
    network = both[0].shared.network
    hook = network.register_forward_hook(lambda *given: passes.append(given[1][0].shape[0]))
    for batch in (samples[:3], samples[3:]):
        for metric in both:
            metric.process(None, batch)
    hook.remove()
    assert passes == [3, 3, 2, 2], "one pass for outputs and one for truths of each batch"
    fakes, truths = (
        torch.cat([network(getattr(s, role)[None]) for s in samples]) for role in ("fake", "truth")
    )
    kept = [result["entry"] for result in both[0].results]
    assert torch.allclose(torch.tensor(np.stack([fake for fake, _ in kept])), fakes, atol=1e-4)
    assert torch.allclose(torch.tensor(np.stack([truth for _, truth in kept])), truths, atol=1e-4)
    assert both[1].evaluate(5)["kid"] == pytest.approx(kid(fakes, truths, 2, 3, 4)[0], rel=1e-3)
    assert both[1].passports()["kid"]["subset_size"] == 3
    assert both[1].passports()["kid_std"]["seed"] == 4


def test_fid_of_collected_features_and_its_passport(weights):
    metric = FID(weights, allow_small=True)
    first, second = features(1, count=20), features(2, count=21)
    facts = {"file_format": "png"}
    found = metric.compare_sets(list(first.numpy()), list(second.numpy()), facts)
    assert found == {"fid": pytest.approx(plain_fid(first, second), rel=1e-6)}
    told = metric.passports()["fid"]
    assert told["protocol"].startswith("fid-")
    assert (told["samples"], told["file_format"]) == (20, "png")
    assert told["fewer_samples_than_features"] is True
    assert told["weights_sha256"] == metric.shared.network.fingerprint
    assert "299x299" in told["resize"]


def test_a_small_data_set_is_refused_before_anything_is_collected(samples):
    metric = FID("random")
    metric.process(None, samples[:2])
    with pytest.raises(DataError, match="at least 2048"):
        metric.evaluate(2)
    assert metric.results == []


def test_settings_and_weights_are_checked(tmp_path):
    for name in ("subsets", "subset_size"):
        with pytest.raises(ConfigError, match=f"KID.{name} is 0"):
            KID("random", **{name: 0})
    for kind in (FID, KID):
        with pytest.raises(WeightsError, match="no.* named; set the metric's weights, or pass"):
            kind()
    with pytest.raises(WeightsError, match="does not exist; set the metric's weights"):
        FID(tmp_path / "none.pth")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="truncated or is no plain state dict"):
        FID(broken)
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, broken)
    with pytest.raises(WeightsError, match="does not fit: .*Missing key"):
        FID(broken)
    torch.save([1], broken)
    with pytest.raises(WeightsError, match="hold list"):
        read_state(broken, "a network", "choose")


def test_a_failed_download_names_the_way_out(monkeypatch):
    def fail(*args, **options):
        assert options["check_hash"]
        assert options["weights_only"]
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(WeightsError, match="no network.*--inception-weights PATH"):
        InceptionFeatures("torch-fidelity")


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ConfigError, match=r"pip install mcltoolkit\[metrics\]"):
        InceptionFeatures("random")


def test_bytes_are_those_of_a_picture_file():
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0, 0.1])
    expected = [0, 0, 128, 255, 255, 140]
    assert to_bytes(values).tolist() == expected


def test_random_weights_follow_their_seed_and_keep_the_scale():
    def network(seed):
        layers = torch.nn.Sequential(torch.nn.Conv2d(16, 64, 3), torch.nn.BatchNorm2d(64))
        fill_random(layers, seed, "a network")
        return layers.eval()

    x = torch.randn(8, 16, 20, 20)
    assert torch.equal(network(1)(x), network(1)(x))
    assert not torch.equal(network(1)(x), network(2)(x))
    assert float(network(1)(x).detach().relu().square().mean()) == pytest.approx(1, rel=0.15)


def test_the_passport_counts_the_smaller_set(weights):
    metric = FID(weights, allow_small=True)
    metric.compare = lambda first, second: {"fid": 1.0}
    for first, second, few in ((5000, 100, True), (100, 5000, True), (5000, 5000, False)):
        metric.compare_sets([0] * first, [0] * second, {"reference_samples": str(second)})
        assert metric.passport("fid")["fewer_samples_than_features"] is few


def test_a_file_called_like_a_download_is_not_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "net.pth").write_bytes(b"the download")
    for name in ("torchvision", "torch-fidelity"):
        (tmp_path / name).write_bytes(b"something else")
        found = fingerprint(name, address="https://example.org/net.pth")
        assert found == hashlib.sha256(b"the download").hexdigest()
