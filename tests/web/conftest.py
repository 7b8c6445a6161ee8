import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def save_checkpoint(path, **correspondence):
    """An untrained checkpoint of the tiny scenes, as a training would write it."""
    from mcltoolkit.data import SyntheticScenes
    from mcltoolkit.engine.config import load_config
    from mcltoolkit.registry import MODELS

    torch.manual_seed(0)
    options = {f"model.correspondence.{key}": value for key, value in correspondence.items()}
    config = load_config(ROOT / "tests" / "configs" / "tiny_scenes.py", options)
    content = {
        "config": config._cfg_dict.to_dict(),
        "state_dict": MODELS.build(config.model).state_dict(),
        "meta": {"dataset_meta": SyntheticScenes(size=(32, 32)).metainfo},
    }
    torch.save(content, path)
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The tiny model, which compares the exemplar's label map too."""
    return save_checkpoint(tmp_path_factory.mktemp("page") / "tiny.pth", mask_mix=True)


@pytest.fixture(scope="session")
def model(checkpoint):
    from mcltoolkit.inference import load_model

    return load_model(checkpoint, "cpu")


@pytest.fixture(scope="session")
def plain_model(tmp_path_factory):
    """The tiny model without mask_mix."""
    from mcltoolkit.inference import load_model

    path = tmp_path_factory.mktemp("page") / "plain.pth"
    return load_model(save_checkpoint(path, mask_mix=False), "cpu")


@pytest.fixture
def maps_model(cocosnet, tmp_path):
    """A converted model whose conditions are 4 channels of numbers, at 64 x 64."""
    from mcltoolkit.conversion import to_toolkit
    from mcltoolkit.inference import load_model

    content = to_toolkit("deepfashion", **cocosnet.make(**cocosnet.TASKS["deepfashion"]))
    content["config"]["inference"]["size"] = (64, 64)
    torch.save(content, tmp_path / "maps.pth")
    return load_model(tmp_path / "maps.pth", "cpu")


@pytest.fixture(scope="session")
def proxy():
    """A proxy that serves nobody and notes who asked."""
    asked = []

    class Note(socketserver.BaseRequestHandler):
        def handle(self):
            asked.append(self.request.recv(200).split(b"\r\n")[0].decode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Note)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.asked = asked
    yield server
    server.shutdown()
    server.server_close()


@contextmanager
def served(checkpoint, proxy, *options):
    """The real command as a process of its own, on a free port; gives its URL."""
    outside = f"http://127.0.0.1:{proxy.server_address[1]}"
    environment = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
        "HTTP_PROXY": outside,
        "HTTPS_PROXY": outside,
        "ALL_PROXY": outside,
    }
    command = [sys.executable, "-m", "mcltoolkit.cli", "demo", str(checkpoint), *options]
    process = subprocess.Popen(
        [*command, "--port", "0"], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if found := re.search(r"the page is at (http://\S+)", line):
                break
        else:
            raise AssertionError(f"the page did not start:\n{''.join(lines)}")
        reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
        reader.start()
        yield found[1], lines
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        reader.join(10)
        assert "Traceback" not in "".join(lines)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def page_url(checkpoint, proxy):
    with served(checkpoint, proxy) as (url, _):
        yield url
    assert proxy.asked == [], "the server asked for something outside"
