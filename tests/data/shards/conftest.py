import http.server
import threading
from functools import partial

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data import FolderDataset
from mcltoolkit.data.shards import make_shards

LIST = (
    "a.b.jpg,c.jpg,d.jpg,sub/e.jpg\nc.jpg,d.jpg\nd.jpg,a.b.jpg,c.jpg\n"
    "sub/e.jpg,c.jpg,a.b.jpg\nf.png,c.jpg\n"
)
GEOMETRY = [
    dict(type="PILResize", height=20, width=24),
    dict(type="RandomCrop", height=16, width=16),
    dict(type="HorizontalFlip", p=0.5),
]


@pytest.fixture
def folder(tmp_path):
    """Five pictures with lists; JPEG and PNG, names with dots and folders."""
    root, rng = tmp_path / "folder", np.random.default_rng(0)
    for name in ("a.b.jpg", "c.jpg", "d.jpg", "sub/e.jpg", "f.png"):
        image = root / "images" / "training" / name
        labels = (root / "annotations" / "training" / name).with_suffix(".png")
        for path in (image, labels):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(image)
        Image.fromarray(rng.integers(0, 4, (30, 40), dtype=np.uint8)).save(labels)
    (root / "classes.txt").write_text("one\ntwo\nthree\nfour\n")
    (root / "exemplars.txt").write_text(LIST)
    return root


@pytest.fixture
def plain(folder):
    """The data set of the folder."""
    return FolderDataset(folder, exemplar_list="exemplars.txt", geometry=GEOMETRY)


@pytest.fixture
def shards(plain, tmp_path):
    """The same in shards of about two samples."""
    out = tmp_path / "shards"
    make_shards(plain, out, "training", shard_size=0.022)
    return out


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        self.server.asked.append(self.path)


@pytest.fixture
def serve():
    """Serves a folder over HTTP; returns its URL and the list of what is asked for."""
    servers = []

    def start(folder):
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
        )
        server.asked = []
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", server.asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
