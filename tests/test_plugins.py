"""Each case runs in a process of its own, with packages as pip would leave them on the path."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mcltoolkit import GENERATORS
from mcltoolkit.errors import PluginError
from mcltoolkit.hookspecs import CONTRACT_VERSION, OLDEST_CONTRACT

LOSS = """
from mcltoolkit import LOSSES, hookimpl
from mcltoolkit.losses.base import Loss

@LOSSES.register_module()
class {name}(Loss):
    def forward(self, translation):
        return translation.fake.square().mean()

@hookimpl
def register_components():
    pass
"""

REPORT = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from mcltoolkit.plugins import plugin_reports
    reports = [[r.name, r.loaded, r.problem, r.remedy, r.components, r.file, r.source]
               for r in plugin_reports()]
warned = [str(w.message) for w in caught if w.category.__name__ == "PluginWarning"]
print(json.dumps([reports, warned]))
"""


@pytest.fixture
def site(tmp_path):
    """A folder like site-packages, with `install(name, code)`."""

    class Site:
        path = tmp_path

        def install(self, name: str, code: str) -> Path:
            file = tmp_path / f"{name}.py"
            file.write_text(textwrap.dedent(code))
            info = tmp_path / f"{name}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[mcltoolkit.plugins]\n{name} = {name}\n")
            return file

        def run(self, code: str, *words: object, **environment: str) -> subprocess.CompletedProcess:
            path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
            return subprocess.run(
                [sys.executable, "-c", textwrap.dedent(code), *map(str, words)],
                env={**os.environ, "PYTHONPATH": path, **environment},
                capture_output=True,
                text=True,
            )

        def reports(self, **environment: str):
            done = self.run(REPORT, **environment)
            assert done.returncode == 0, done.stderr
            listed, warned = json.loads(done.stdout.strip().splitlines()[-1])
            keys = ("name", "loaded", "problem", "remedy", "components", "file", "source")
            reports = [dict(zip(keys, row, strict=True)) for row in listed]
            return {r["name"]: r for r in reports}, warned

    return Site()


def test_installed_plugin_is_found_and_listed(site):
    site.install("good", LOSS.format(name="GoodLoss"))
    reports, warned = site.reports()
    assert reports["good"]["loaded"]
    assert reports["good"]["components"] == {"losses": ["GoodLoss"]}
    assert "MarginalContrastiveLoss" in reports["mcltoolkit"]["components"]["losses"]
    assert warned == []


def test_registration_through_the_hook_argument(site):
    code = LOSS.format(name="HookLoss").replace("@LOSSES.register_module()\n", "")
    code = code.replace(
        "def register_components():\n    pass",
        (
            "def register_components(registries):\n"
            "    registries['losses'].register_module(module=HookLoss)"
        ),
    )
    site.install("hooked", code)
    reports, _ = site.reports()
    assert reports["hooked"]["components"] == {"losses": ["HookLoss"]}


def test_same_component_name_twice_leaves_the_first_and_reports_the_second(site):
    site.install("alpha", LOSS.format(name="SameLoss"))
    file = site.install("beta", "OTHER = 1\n" + LOSS.format(name="SameLoss"))
    reports, warned = site.reports()
    assert reports["alpha"]["loaded"]
    assert not reports["beta"]["loaded"]
    assert "'SameLoss' is already registered by alpha" in reports["beta"]["problem"]
    assert "MCLTOOLKIT_DISABLE_PLUGINS=beta" in reports["beta"]["remedy"]
    assert reports["beta"]["file"].startswith(str(file))
    assert len(warned) == 1


def test_a_plugin_that_fails_half_way_leaves_no_trace(site):
    site.install("half", LOSS.format(name="HalfLoss") + "\nraise ValueError('no luck')\n")
    site.install("whole", LOSS.format(name="WholeLoss"))
    reports, warned = site.reports()
    assert "ValueError: no luck" in reports["half"]["problem"]
    assert "half.py" in reports["half"]["file"]
    assert reports["whole"]["components"] == {"losses": ["WholeLoss"]}
    assert len(warned) == 1
    done = site.run(
        "from mcltoolkit import LOSSES\n"
        "try: LOSSES.get('HalfLoss')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    assert "UnknownComponentError" in done.stdout
    assert "no luck" in done.stdout, "the look-up tells which plugins failed"


def test_missing_import_names_the_module(site):
    site.install("needy", "import surely_not_installed\n")
    reports, _ = site.reports()
    assert "'surely_not_installed' cannot be imported" in reports["needy"]["problem"]
    assert "Install" in reports["needy"]["remedy"]


def test_future_contract_is_reported(site):
    site.install("future", "contract_version = 99\n" + LOSS.format(name="FutureLoss"))
    reports, _ = site.reports()
    assert reports["future"]["problem"] == "made for contract version 99, this toolkit takes 1"
    assert reports["future"]["remedy"].startswith("Update mcltoolkit or install an older version")
    assert reports["mcltoolkit"]["loaded"]


def test_plugins_without_hooks_or_with_a_misspelt_one_are_reported(site):
    site.install("empty", "x = 1\n")
    file = site.install(
        "typo", LOSS.format(name="TypoLoss").replace("def register_", "def registr")
    )
    reports, _ = site.reports()
    assert "no function marked" in reports["empty"]["problem"]
    assert not reports["typo"]["loaded"]
    assert "no hook 'registrcomponents'; did you mean 'register_comp" in reports["typo"]["problem"]
    assert reports["typo"]["file"] == f"{file}:10"


def test_disabled_plugin_is_left_out(site):
    site.install("half", "raise ValueError('no luck')\n")
    reports, warned = site.reports(MCLTOOLKIT_DISABLE_PLUGINS="half")
    assert "half" not in reports
    assert warned == []


def test_module_named_by_a_config_loads_and_reaches_spawned_processes(site):
    (site.path / "local_plugin.py").write_text(LOSS.format(name="LocalLoss"))
    (site.path / "child.py").write_text(
        "def look():\n"
        "    from mcltoolkit import LOSSES\n"
        "    return LOSSES.get('LocalLoss').__name__\n"
    )
    done = site.run(
        """
        import multiprocessing
        import child
        from mcltoolkit.plugins import load_plugins

        if __name__ == "__main__":
            load_plugins(["local_plugin"])
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print("found", pool.apply(child.look))
        """
    )
    assert "found LocalLoss" in done.stdout, done.stderr


def test_a_config_may_name_a_module_that_its_entry_point_has_loaded(site):
    site.install("good", LOSS.format(name="GoodLoss"))
    reports, warned = site.reports(MCLTOOLKIT_PLUGINS="good")
    assert reports["good"]["loaded"]
    assert "entry point" in reports["good"]["source"]
    assert warned == []
    (site.path / "good-1.0.dist-info" / "entry_points.txt").write_text(
        "[mcltoolkit.plugins]\nanother_name = good\n"
    )
    reports, warned = site.reports(MCLTOOLKIT_PLUGINS="good")
    assert reports["another_name"]["loaded"]
    assert "good" not in reports
    assert warned == []


TRY = """
from mcltoolkit import ENCODERS, LOSSES
from mcltoolkit.errors import PluginError
from mcltoolkit.plugins import load_plugins
"""


def test_a_broken_plugin_that_a_config_names_is_an_error_however_it_is_found(site):
    site.install("brokenp", "raise ValueError('no luck')\n")
    done = site.run(
        TRY
        + """
for _ in range(2):
    try:
        load_plugins(["brokenp"])
    except PluginError as error:
        print(error)
"""
    )
    assert done.stdout.count("plugin 'brokenp' (config") == 2, done.stderr
    done = site.run(TRY + "load_plugins()", MCLTOOLKIT_PLUGINS="brokenp")
    assert done.returncode == 1
    assert "PluginError" in done.stderr


def test_an_entry_point_does_not_hide_a_module_of_its_name(site):
    site.install("real_package", LOSS.format(name="PackageLoss"))
    (site.path / "real_package-1.0.dist-info" / "entry_points.txt").write_text(
        "[mcltoolkit.plugins]\nnotes = real_package\n"
    )
    (site.path / "notes.py").write_text(LOSS.format(name="NotesLoss"))
    done = site.run(
        TRY
        + """
load_plugins(["notes"])
print(LOSSES.get("PackageLoss").__name__, LOSSES.get("NotesLoss").__name__)
"""
    )
    assert "PackageLoss NotesLoss" in done.stdout, done.stderr


def test_a_name_of_the_toolkits_own_is_taken_from_the_start(site):
    done = site.run(
        TRY
        + """
from torch import nn
try:
    @ENCODERS.register_module()
    class DomainEncoder(nn.Module):
        pass
except KeyError as error:
    print(error)
load_plugins()
print(ENCODERS.get("DomainEncoder").__module__, len(LOSSES))
"""
    )
    assert "the encoder 'DomainEncoder' is already registered by mcltoolkit" in done.stdout
    assert "mcltoolkit.encoders.domain" in done.stdout, done.stderr


def test_a_rejected_plugin_leaves_no_trace_even_of_what_was_imported_before(site):
    wrong = LOSS.format(name="WrongLoss").replace("forward(self, translation)", "forward(self)")
    forced = LOSS.format(name="CycleLoss").replace(
        "register_module()", "register_module(force=True)"
    )
    site.install("wrong", wrong)
    site.install("forced", forced + "\nraise ValueError('no luck')\n")
    done = site.run(
        "import warnings; warnings.simplefilter('ignore')\nimport wrong\n"
        + TRY
        + """
load_plugins()
print("WrongLoss" in LOSSES.module_dict, LOSSES.origin("CycleLoss"), LOSSES.get("CycleLoss"))
"""
    )
    assert "False mcltoolkit <class 'mcltoolkit.losses.cycle.CycleLoss'>" in done.stdout, (
        done.stderr
    )


def test_a_hook_of_a_newer_toolkit_may_be_optional(site):
    newer = LOSS.format(name="NewLoss") + "\n@hookimpl({})\ndef dream(sheep):\n    pass\n"
    site.install("optional", newer.format("optionalhook=True"))
    site.install("required", newer.replace("NewLoss", "OtherLoss").format(""))
    reports, _ = site.reports()
    assert reports["optional"]["components"] == {"losses": ["NewLoss"]}
    assert "no hook 'dream'" in reports["required"]["problem"]
    assert "update mcltoolkit" in reports["required"]["remedy"]
    assert "optionalhook=True" in reports["required"]["remedy"]


def test_module_named_by_a_config_must_load(site):
    done = site.run(
        """
        from mcltoolkit.errors import PluginError
        from mcltoolkit.plugins import load_plugins
        from mcltoolkit import LOSSES
        try:
            load_plugins(["not_there"])
        except PluginError as error:
            print(error)
        print(LOSSES.get("MarginalContrastiveLoss").__name__)
        """
    )
    assert "plugin 'not_there' (config)" in done.stdout, done.stderr
    assert "PYTHONPATH" in done.stdout
    assert "MarginalContrastiveLoss" in done.stdout


def test_the_command_lists_plugins_and_fails_when_one_is_broken(site):
    site.install("good", LOSS.format(name="GoodLoss"))
    code = "from mcltoolkit.cli import main; main(['plugins'])"
    done = site.run(code)
    assert done.returncode == 0, done.stderr
    assert "GoodLoss" in done.stdout
    for builtin in ("MarginalContrastiveLoss", "SyntheticScenes", "ExemplarGAN", "LossAuditHook"):
        assert builtin in done.stdout, "also where its module was imported before"
    site.install("half", "raise ValueError('no luck')\n")
    done = site.run(code)
    assert done.returncode == 1
    assert "NOT LOADED: it raised ValueError: no luck" in done.stdout


GENERATOR = """
from torch import nn
from mcltoolkit import GENERATORS, hookimpl

@GENERATORS.register_module()
class LonelyGenerator(nn.Module):
    def __init__(self, context_channels):
        super().__init__()

    def forward(self, condition):
        return condition[:, :3]

@hookimpl
def register_components():
    pass
"""
HOOK = """
from mcltoolkit import hookimpl

@hookimpl
def observe_step(step, loss):
    pass
"""
BREAKAGE = """
import contextlib, io, json, sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from mcltoolkit.cli import main
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            main(["plugins"])
            status = 0
        except SystemExit as ended:
            status = ended.code
warned = [str(w.message) for w in caught if w.category.__name__ == "PluginWarning"]
from mcltoolkit.engine.config import load_config
from mcltoolkit.engine.launch import train
options = {
    "model.losses.good": {"type": "GoodLoss", "weight": 0.1},
    "train_cfg.max_iters": 1,
    "val_dataloader": None, "val_cfg": None, "val_evaluator": None,
    "log_level": "ERROR",
}
runner = train(load_config(sys.argv[1], options, work_dir=sys.argv[2]))
weight = runner.message_hub.get_scalar("train/loss_good").current()
print("\\n" + json.dumps([warned, printed.getvalue(), status, runner.iter, weight]))
"""


def test_all_breakages_at_once_are_reported_and_the_good_plugin_trains(site, tiny_config, tmp_path):
    site.install("a_good", LOSS.format(name="GoodLoss"))
    expected = {
        "b_twin": (
            site.install("b_twin", LOSS.format(name="GoodLoss")),
            "the loss 'GoodLoss' is already registered by a_good",
            "Ask its author to rename the component",
        ),
        "c_raises": (
            site.install("c_raises", "raise ValueError('no luck')\n"),
            "it raised ValueError: no luck",
            "Mend or update the plugin",
        ),
        "d_future": (
            site.install("d_future", "contract_version = 99\n" + LOSS.format(name="FutureLoss")),
            "made for contract version 99, this toolkit takes 1",
            "Update mcltoolkit or install an older version of the plugin",
        ),
        "e_signature": (
            site.install("e_signature", GENERATOR),
            "generator 'LonelyGenerator': LonelyGenerator.forward(self, condition) cannot be "
            "called as forward(warped, condition)",
            "Give it these arguments, update the plugin",
        ),
        "f_hook": (
            site.install("f_hook", HOOK),
            "its hook observe_step(step, loss) wants loss, which the toolkit does not give; it may "
            "take step, losses, work_dir",
            "Give it these arguments, update the plugin",
        ),
        "g_needy": (
            site.install("g_needy", "import surely_not_installed\n"),
            "the module 'surely_not_installed' cannot be imported",
            "Install what provides it",
        ),
    }
    done = site.run(BREAKAGE, tiny_config, tmp_path / "work")
    assert done.returncode == 0, done.stderr[-3000:]
    warned, printed, status, steps, value = json.loads(done.stdout.splitlines()[-1])
    assert (steps, status, len(warned)) == (1, 1, len(expected))
    assert value > 0
    for line, (name, (file, problem, remedy)) in zip(warned, expected.items(), strict=True):
        for listing in (line, printed[printed.index(f"\n{name}  (entry point") :]):
            assert name in listing
            assert str(file) in listing
            assert problem in listing
            assert remedy in listing
            assert f"MCLTOOLKIT_DISABLE_PLUGINS={name}" in listing
    assert printed.count("NOT LOADED") == len(expected)
    assert "GoodLoss" in printed.split("\nb_twin")[0].split("\na_good")[1]


def test_a_config_names_a_plugin_that_does_not_fit(load_plugin):
    for _ in range(2):  # Python has the module already when it is named once more
        with pytest.raises(PluginError, match=r"LonelyGenerator.*take it out of the config's"):
            load_plugin("lonely", GENERATOR)
        assert "LonelyGenerator" not in GENERATORS.module_dict


def test_a_version_that_is_no_number(load_plugin):
    with pytest.raises(PluginError, match="contract_version is '1.0', which must be a whole"):
        load_plugin("dotted", "contract_version = '1.0'\n" + HOOK)


def test_the_contract_of_this_release_is_taken():
    assert 1 <= OLDEST_CONTRACT <= CONTRACT_VERSION
