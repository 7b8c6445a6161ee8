"""The commands of docs/demo-page.md: one is run as it stands, the others are parsed."""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image

from mcltoolkit.commands import Commands
from mcltoolkit.web import limits, page, serve
from mcltoolkit.web.command import add_command

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "demo-page.md").read_text()
COMMANDS = re.findall(r"```bash\n(.*?)\n```", PAGE)
FOLDERS, HOST = COMMANDS[1:]


def parsed(line):
    parser = argparse.ArgumentParser()
    commands = cast(Commands, parser.add_subparsers(action=Commands))
    add_command(commands)
    program, *words = shlex.split(line)
    assert program == "mcltoolkit"
    return parser.parse_args(words)


def test_commands_are_understood():
    assert len(COMMANDS) == 3
    plain = parsed(COMMANDS[0])
    assert (plain.host, plain.port, plain.open) == ("127.0.0.1", 7860, False)
    assert f"http://{plain.host}:{plain.port}" in PAGE
    assert (parsed(FOLDERS).examples, parsed(FOLDERS).exemplars) == ("layouts", "photos")
    assert (parsed(HOST).host, parsed(HOST).port) == ("0.0.0.0", 8080)
    for option in set(re.findall(r"`(--[a-z]+)(?: \d+)?`", PAGE)):
        parsed(f"{COMMANDS[0]} {option} {'' if option == '--open' else 1}")


def test_limits_are_those_of_the_page():
    assert f"{limits.megabytes(limits.MOST_BYTES)}, {limits.MOST_PIXELS // 10**6} million" in PAGE
    assert f"the {serve.SESSIONS} last visitors" in PAGE
    assert page.STATE_SECONDS == page.CACHE_SECONDS[1] == 3600
    assert "first 60 files" in PAGE
    assert "web" in re.findall(r"pip install 'mcltoolkit\[(\w+)\]'", PAGE)
    assert '"web": WEB' in (ROOT / "setup.py").read_text()


@pytest.mark.integration
def test_the_page_is_served_and_ends(tiny_gan, tiny_config, tmp_path):
    from mcltoolkit.data import SyntheticScenes
    from mcltoolkit.engine.config import load_config

    checkpoint = tmp_path / parsed(FOLDERS).checkpoint
    checkpoint.parent.mkdir(parents=True)
    content = {
        "config": load_config(tiny_config)._cfg_dict.to_dict(),
        "state_dict": tiny_gan().state_dict(),
        "meta": {"dataset_meta": SyntheticScenes(size=(32, 32)).metainfo},
    }
    torch.save(content, checkpoint)
    labels = np.arange(6).repeat(32 * 6).reshape(36, 32).astype(np.uint8)
    for name, picture in (
        ("layouts/my layout.png", labels),
        ("photos/my photo.jpg", np.full((36, 32, 3), 99, np.uint8)),
        ("photos/labels/my photo.png", labels),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / name)
    process = subprocess.Popen(
        [sys.executable, "-m", "mcltoolkit.cli", *shlex.split(FOLDERS)[1:], "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "NO_PROXY": "*"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        lines = []
        while "the page is at" not in "".join(lines[-1:]):
            lines.append(process.stdout.readline())
            assert lines[-1], f"the page did not start:\n{''.join(lines)}"
        url = re.search(r"http://\S+", lines[-1])[0]
        assert url.startswith("http://127.0.0.1:")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        html = opener.open(url).read().decode()
        for part in (
            "Translate",
            "my layout",
            "my photo",
            *content["meta"]["dataset_meta"]["classes"],
        ):
            assert part in html
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in rest
    finally:
        process.kill()
        process.wait()
