import pytest
import torch

from mcltoolkit.errors import ConfigError, WeightsError
from mcltoolkit.inference import load_model


def changed(path, change):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def folded(state, prefix):
    """The weights below `prefix`, those with spectral norm normalised."""
    found = {}
    for key, value in state.items():
        if not key.startswith(prefix) or key.endswith(("._u", "._v")):
            continue
        name, original, _ = key.removeprefix(prefix).partition("parametrizations.weight.original")
        if original:
            u, v = (state[key.replace("original", f"0.{vector}")] for vector in ("_u", "_v"))
            value, name = value / (u @ value.flatten(1) @ v), f"{name}weight"
        found[name] = value
    return found


def test_weights_are_those_of_the_file_with_spectral_norm_folded(checkpoint):
    path = checkpoint()
    loaded = load_model(path, "cpu")
    state = torch.load(path, weights_only=True)["state_dict"]
    assert not loaded.translator.training
    assert loaded.condition_kind == "labels"
    torch.testing.assert_close(dict(loaded.translator.state_dict()), folded(state, "translator."))


def test_the_average_is_taken_where_there_is_one(checkpoint):
    averaged = {}

    def average(content):
        trained = {k: v for k, v in content["state_dict"].items() if k.startswith("translator.")}
        averaged.update({k.replace("translator", "module", 1): v + 1 for k, v in trained.items()})
        content["ema_state_dict"] = {"n_averaged": torch.tensor(3)} | averaged

    translator = load_model(changed(checkpoint(), average)).translator
    torch.testing.assert_close(dict(translator.state_dict()), folded(averaged, "module."))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda c: c.pop("config"), WeightsError, "carries no config"),
        (lambda c: c["config"].pop("model"), WeightsError, "has no model of this toolkit"),
        (lambda c: c["state_dict"].popitem(), WeightsError, "do not fit"),
        (
            lambda c: c["config"]["model"]["generator"].update(type="os.system"),
            ConfigError,
            "names the code 'os.system', which is not run",
        ),
        (
            lambda c: c["config"]["model"]["generator"].update(parts=[{"type": "os.system"}]),
            ConfigError,
            "names the code 'os.system', which is not run",
        ),
        (
            lambda c: c["config"]["model"]["generator"].update(type="SPADEGenerater"),
            ConfigError,
            "did you mean 'SPADEGenerator'",
        ),
    ],
)
def test_checkpoints_that_cannot_be_used(checkpoint, change, error, words):
    path = checkpoint()
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {
        k: v for k, v in content["state_dict"].items() if k.startswith("translator.")
    }
    change(content)
    torch.save(content, path)
    with pytest.raises(error, match=words):
        load_model(path)


def test_modules_that_the_file_names_are_not_imported(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    load_model(changed(checkpoint(), lambda c: c["config"].update(plugins=["trap"])))


PLUGIN = """
from mcltoolkit import hookimpl
from mcltoolkit.generators import SPADEGenerator as Painter

@hookimpl
def register_components():
    pass
"""


def test_trusted_code_is_named_by_the_user(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "trusted_painter.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)

    def dotted(content):
        content["config"]["model"]["generator"]["type"] = "trusted_painter.Painter"

    path = changed(checkpoint(), dotted)
    with pytest.raises(ConfigError, match=r"'trusted_painter\.Painter', which is not run"):
        load_model(path)
    load_model(path, plugins=["trusted_painter"])


def test_a_device_that_is_not_there(checkpoint):
    with pytest.raises(ConfigError, match="device 'cuda:99' cannot be used here"):
        load_model(checkpoint(), "cuda:99")
    with pytest.raises(ConfigError, match="device 'gpu0' cannot be used here"):
        load_model(checkpoint(), "gpu0")
