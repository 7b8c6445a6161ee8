"""The commands and the example of docs/export.md."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from mcltoolkit.export.onnx_model import DEFAULT_OPSET, EXTERNAL_ABOVE, OPSETS
from mcltoolkit.export.signature import OUTPUTS
from mcltoolkit.export.verify import CASES, TOLERANCE
from mcltoolkit.metrics import Result, write_results

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "export.md").read_text()
INSTALL, BOTH, SIZED, AGAIN = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def tool(tmp_path, tiny_checkpoint, monkeypatch, capsys):
    """Runs a tool's file in this process, which has imported torch and onnx already."""
    (tmp_path / "model.pth").symlink_to(tiny_checkpoint)
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    monkeypatch.chdir(tmp_path)

    def call(file, *words, status=0):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [file, *words])
            patch.setattr(sys, "path", list(sys.path))
            ended = 0
            try:
                runpy.run_path(file, run_name="__main__")
            except SystemExit as end:
                ended = end.code
        said = capsys.readouterr()
        assert ended == status, said.err
        return said.err if status else said.out

    return call


@pytest.mark.integration
def test_the_page_s_commands_and_example_work(tool, tmp_path):
    said = tool(*shlex.split(SIZED)[1:])
    assert "largest difference" in said
    header = onnx.load(tmp_path / "exported_64" / "model.onnx", load_external_data=False)
    assert header.opset_import[0].version == 20
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True)
    assert done.stdout == "(2, 3, 64, 64)\n", done.stderr
    passport = {"protocol": "psnr-torchmetrics-1", "samples": 5}
    write_results(tmp_path / "metrics.json", {"psnr": Result(17.25, passport)})
    words = shlex.split(AGAIN)[1:]
    tool(*words)
    card = (tmp_path / "exported" / "README.md").read_text()
    assert "license: cc-by-nc-4.0" in card
    assert "# Street scenes\n" in card
    assert "| `psnr` | 17.25 | protocol: psnr-torchmetrics-1, samples: 5 |" in card
    words.remove("--overwrite")
    assert "exists already; add --overwrite" in tool(*words, status=2)
    assert set(shlex.split(BOTH)[1:]) == {"tools/export.py", "model.pth", "--out", "exported"}


def test_the_page_s_numbers_are_the_code_s(root):
    assert f"opset {DEFAULT_OPSET} unless `--opset` ({OPSETS[0]} to {OPSETS[-1]})" in PAGE
    assert f"above {EXTERNAL_ABOVE / 1e9:g} GB" in PAGE
    batches = sorted({batch for _, batch in CASES})
    assert f"batches of\n{batches[0]} and {batches[1]}" in PAGE
    assert float(re.search(r"by more than (\S+) on", PAGE)[1]) == TOLERANCE
    rows = re.findall(r"^\| `(\w+)` \| batch", PAGE, re.MULTILINE)
    assert rows[-2:] == list(OUTPUTS)
    assert '"export":' in (root / "setup.py").read_text()
    assert "[export]" in INSTALL
