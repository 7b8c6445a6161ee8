import os

import pytest
import torch
from mmengine.config import Config

from mcltoolkit.engine import launch
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.modes import WORKSPACE, modes
from mcltoolkit.errors import ConfigError, NonFiniteError


def flags():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.is_anomaly_enabled(),
        os.environ.get(WORKSPACE),
    )


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)


@pytest.mark.parametrize(
    ("keywords", "options"),
    [
        ({"deterministic": True, "detect_anomaly": True}, {}),
        ({}, {"randomness.deterministic": True, "detect_anomaly": True}),
    ],
    ids=["flags", "settings"],
)
def test_both_ways_lead_to_the_same_modes(tiny_config, tmp_path, monkeypatch, keywords, options):
    seen = []

    class Runner:
        @classmethod
        def from_cfg(cls, config):
            seen.append((config.randomness.get("deterministic"), config.env_cfg.cudnn_benchmark))
            return cls()

        def train(self):
            seen.append(flags())

    monkeypatch.setattr(launch, "TranslationRunner", Runner)
    before = flags()
    launch.train(load_config(tiny_config, options, work_dir=str(tmp_path)), **keywords)
    assert seen == [(True, False), (True, True, False, True, ":4096:8")]
    assert flags() == before
    launch.train(load_config(tiny_config, work_dir=str(tmp_path)))
    assert seen[-1] == before


def test_two_deterministic_trainings_are_equal_to_the_bit(tiny_config, tmp_path):
    states = []
    for name in ("first", "second"):
        options = {
            "train_cfg.max_iters": 2,
            "val_cfg": None,
            "val_dataloader": None,
            "val_evaluator": None,
        }
        config = load_config(tiny_config, options, work_dir=str(tmp_path / name))
        runner = launch.train(config, deterministic=True)
        states.append({k: v.clone() for k, v in runner.model.state_dict().items()})
        torch.rand(3)  # what a process did before does not matter
    first, second = states
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_operation_without_a_deterministic_form_is_named():
    config = Config({"randomness": {"deterministic": True}})
    with (
        pytest.raises(ConfigError, match="operation put_ has no .*without it"),
        modes(config),
    ):
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
    torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
    with pytest.raises(RuntimeError, match="^of another kind$"), modes(config):
        raise RuntimeError("of another kind")


def test_cublas_must_be_told_before_cuda_starts(monkeypatch):
    config = Config({"randomness": {"deterministic": True}})
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(ConfigError, match="before the program starts"), modes(config):
        pass
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with modes(config):
        assert flags()[-1] == ":16:8"
    assert flags() == (False, False, False, False, ":16:8")


@pytest.mark.filterwarnings("ignore:Error detected in", "ignore:Anomaly Detection")
def test_anomaly_mode_names_the_operation():
    zero = torch.zeros(1, requires_grad=True)
    anomaly = modes(Config({"detect_anomaly": True}))
    with pytest.raises(NonFiniteError, match="backward pass of SqrtBackward0"), anomaly:
        (zero.sqrt() * 0).sum().backward()
    with pytest.raises(ConfigError, match="is 3"), modes(Config({"detect_anomaly": 3})):
        pass


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="cuBLAS reads its workspace on CUDA only")
def test_matrix_products_on_a_gpu_repeat_to_the_bit():
    with modes(Config({"randomness": {"deterministic": True}})):
        first, second = (torch.randn(512, 512, device="cuda") for _ in range(2))
        assert torch.equal(first @ second, first @ second)
