"""Ways of the installed packages that must not be taken."""

import re

import pytest

AVOIDED = {
    "mmcv.ops": "the wheel of mmcv-lite has none, the full mmcv does not build",
    "is_installed": "mmengine's needs pkg_resources, which current setuptools lacks",
    "get_installed_path": "as is_installed",
    "pkg_resources": "current setuptools lacks it",
    "torch.distributed.launch": "deprecated; torch.distributed.run",
    "torch.distributed.nn": "its all_reduce is deprecated",
    "weights_only=False": "runs code from the file; strip.py has an unpickler of its own",
    "add_safe_globals": "what mmengine's files need on it is unsafe",
    "sync_bn": "mmengine's setting converts every batch norm; name 'syncbn' where it is meant",
}


@pytest.mark.parametrize("word", AVOIDED)
def test_code_stays_clear_of(root, word):
    files = [
        file
        for folder, kind in (("mcltoolkit", "*.py"), ("tools", "*"), ("configs", "*.py"))
        for file in (root / folder).rglob(kind)
        if file.is_file()
        and file.suffix in (".py", ".sh")
        and file.name != "sync_bn.py"
        and not (word == "weights_only=False" and file.name == "strip.py")
    ]
    assert len(files) > 60
    pattern = re.compile(rf"(?<![\w.]){re.escape(word)}(?!\w)")
    if word == "sync_bn":
        pattern = re.compile(r"^sync_bn\s*=", re.MULTILINE)
    found = [str(f.relative_to(root)) for f in files if pattern.search(f.read_text())]
    assert found == [], AVOIDED[word]


def test_tools_wait_quietly(root):
    """Said before torch is imported, or spinning threads cost a factor of 5 to 8."""
    scripts = [
        file
        for folder in ("tools", "benchmarks", "docs", "mcltoolkit")
        for file in sorted((root / folder).glob("*.py"))
        if "\nwait_quietly()" in file.read_text()
    ]
    names = {file.name for file in scripts}
    assert {"train.py", "test.py", "demo.py", "translate.py", "run.py", "cli.py"} <= names
    early = re.compile(r"^(?:from|import) (mcltoolkit|torch|mmengine)", re.MULTILINE)
    for file in scripts:
        text = file.read_text()
        before = text[: text.index("\nwait_quietly()")]
        assert early.findall(before) == ["mcltoolkit"], file
        assert "from mcltoolkit.waiting import wait_quietly" in before
