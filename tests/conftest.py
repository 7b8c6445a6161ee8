import importlib.util
import os
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # before an installed package `tests`, here and in processes of tests


@pytest.fixture
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture
def tiny_config() -> Path:
    """The main job, small enough for a test."""
    return ROOT / "tests" / "configs" / "tiny_scenes.py"


def _load_helper(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def load_helper():
    """Loads the module tests/NAME.py."""
    return _load_helper


@pytest.fixture(scope="session")
def cocosnet():
    """tests/cocosnet_reference.py: the released CoCosNet as plain formulas."""
    return _load_helper("cocosnet_reference")


@pytest.fixture(scope="session")
def launched_browser():
    """One browser for all tests of a process; see tests/browser.py."""
    with _load_helper("browser").launched() as browser:
        yield browser


@pytest.fixture
def browser(launched_browser):
    """A real Chromium without a window, on an empty page."""
    launched_browser.open("about:blank")
    return launched_browser


@pytest.fixture
def tiny_gan(tiny_config):
    """Builds the model of a config, the tiny scenes' by default, with dotted settings changed."""
    from mcltoolkit.engine.config import load_config
    from mcltoolkit.registry import MODELS

    def build(options=None, file=tiny_config, **arguments):
        return MODELS.build(load_config(file, options, **arguments).model)

    return build


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """A checkpoint of the tiny scenes, as a training of no steps would leave it."""
    from mcltoolkit.data import SyntheticScenes
    from mcltoolkit.engine.config import load_config
    from mcltoolkit.registry import MODELS

    torch.manual_seed(0)
    config = load_config(ROOT / "tests" / "configs" / "tiny_scenes.py")
    content = {
        "state_dict": MODELS.build(config.model).state_dict(),
        "config": config._cfg_dict.to_dict(),
        "meta": {"iter": 0, "dataset_meta": SyntheticScenes("train", length=1).metainfo},
    }
    path = tmp_path_factory.mktemp("tiny") / "tiny.pth"
    torch.save(content, path)
    return path


@pytest.fixture
def scenes():
    """Makes a batch of synthetic scenes; further keywords replace fields of the batch."""
    from mcltoolkit.data import SyntheticScenes
    from mcltoolkit.structures import collate

    def make(count=2, size=(32, 32), classes=6, **fields):
        dataset = SyntheticScenes(split="train", length=count, num_classes=classes, size=size)
        return replace(collate([dataset[i] for i in range(count)]), **fields)

    return make


@pytest.fixture
def load_plugin(tmp_path, monkeypatch):
    """Writes a module and loads it as a config's plugin, until the test is over."""
    from mcltoolkit import plugins
    from mcltoolkit.registry import REGISTRIES

    plugins.load_plugins()
    before = {kind: (dict(r.module_dict), dict(r.origins)) for kind, r in REGISTRIES.items()}
    loaded = []

    def load(name, code):
        file = tmp_path / f"{name}.py"
        file.write_text("from mcltoolkit import *\n" + textwrap.dedent(code))
        monkeypatch.syspath_prepend(tmp_path)
        loaded.append(name)
        plugins.load_plugins([name])
        return file

    yield load
    for name in loaded:
        sys.modules.pop(name, None)
        if plugins._plugins.manager.has_plugin(name):
            plugins._plugins.manager.unregister(name=name)
        plugins._plugins.reports.pop(name, None)
    plugins._plugins._restore(set(loaded), before)


@pytest.fixture(autouse=True)
def seeded():
    """The same random numbers in every test, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def plugins_of_a_test_end_with_it(monkeypatch):
    """Modules that a test loads as plugins are named in the environment, which later tests and
    their processes would inherit; those that could not be loaded are reported from then on."""
    from mcltoolkit.plugins import _plugins

    monkeypatch.setenv("MCLTOOLKIT_PLUGINS", os.environ.get("MCLTOOLKIT_PLUGINS", ""))
    yield
    for name in [n for n, r in _plugins.reports.items() if r.source == "config" and not r.loaded]:
        del _plugins.reports[name]
