"""Counts of a step against numbers that are known otherwise, and times on paper by hand."""

import pytest
import torch

from benchmarks import count as counting
from benchmarks.count import Traffic, count, kept
from benchmarks.scaling import GPU, filled, step
from mcltoolkit.errors import ConfigError


@pytest.fixture(scope="module")
def cocosnet():
    return count("cocosnet_ade20k", plain=True)


def test_the_plain_step_has_the_operations_of_the_released_model(cocosnet):
    forward = cocosnet["forward"]
    alignment = sum(
        forward[part] for part in ("condition encoder", "image encoder", "correspondence")
    )
    # counted in the released code
    assert alignment == pytest.approx(892, rel=0.002)
    assert forward["generator"] == pytest.approx(388, rel=0.002)
    assert forward["discriminator"] == pytest.approx(29, rel=0.01)
    assert cocosnet["operations"] == pytest.approx(4200, rel=0.02)
    assert cocosnet["parameters"]["generator"] == pytest.approx(96.7 + 59.3, abs=0.1)
    weights = sum(cocosnet["parameters"].values()) / 1e3
    assert cocosnet["all_reduce_gb"] == pytest.approx(4 * weights, rel=0.01)
    assert cocosnet["state_gb"] == pytest.approx(16 * weights, rel=0.01)


def test_vgg_has_the_operations_of_its_layers(cocosnet):
    widths = [3, *[64] * 2, *[128] * 2, *[256] * 4, *[512] * 4, *[512] * 2]
    sides = [256] * 2 + [128] * 2 + [64] * 4 + [32] * 4 + [16] * 2
    each = sum(
        2 * 9 * a * b * side**2 for a, b, side in zip(widths[:-1], widths[1:], sides, strict=True)
    )
    assert cocosnet["forward"][counting.FEATURES] == pytest.approx(3 * each / 1e9, rel=0.01)


def test_traffic_is_what_kernels_read_and_write():
    a = torch.ones(10, 20, device="meta")
    with Traffic() as traffic:
        view = a.view(20, 10).t()  # free
        torch.relu(view)
        a @ torch.empty(20, 5, device="meta")
        a[:1].expand(30, 20) + 1  # 20 values are read, 600 written
    assert traffic.products == 4 * (10 * 20 + 20 * 5 + 10 * 5)
    assert traffic.others == 4 * (2 * 200 + 20 * 10 + 600)


def test_kept_are_the_tensors_of_the_backward_pass():
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    x = torch.ones(7, 3)
    with kept(model) as held:
        model(x)
    assert held() == 4 * (7 * 3 + 7 * 5)  # the input and tanh's output, which two nodes share


def test_a_step_on_paper_is_the_sum_of_its_parts():
    gpu = GPU({"bf16": 100.0}, memory=1.0, link=100.0, network=10.0)
    found = {
        "operations": 4000.0, "traffic_of_others_gb": 40.0, "optimiser_traffic_gb": 4.0,
        "all_reduce_gb": 0.7, "synchronisations": 10,
    }  # fmt: skip
    one = step(found, gpu, "bf16", 1, batch=8)
    assert one.products == pytest.approx(8 * 4.0 / 40)  # TFLOP over 40 % of 100 TFLOP/s
    assert one.others == pytest.approx(8 * 20 / 800)  # half the bytes over 80 % of 1 TB/s
    assert one.optimiser == pytest.approx(4 / 800)
    assert one.total == pytest.approx(0.8 + 0.2 + 0.005)
    many = step(found, gpu, "bf16", 32, batch=8)
    assert many.exchange == pytest.approx(2 * 31 / 32 * 0.7 / (0.7 * 80))
    assert many.exposed == pytest.approx(2 * 31 / 32 * 0.025 / (0.7 * 80)), "all but a bucket"
    assert many.statistics == pytest.approx(10 * 60e-6)
    slow = step({**found, "all_reduce_gb": 70.0}, gpu, "bf16", 32, batch=8)
    assert slow.exposed == pytest.approx(slow.exchange - 2 / 3 * 1.0)


def test_tables_go_to_their_places():
    page = "a\n<!-- x -->\nold\n<!-- end -->\nb\n"
    assert filled(page, {"x": "| new |"}) == "a\n<!-- x -->\n| new |\n<!-- end -->\nb\n"
    with pytest.raises(ConfigError, match="<!-- y -->"):
        filled(page, {"y": ""})
