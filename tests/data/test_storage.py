import http.server
import threading

import numpy as np
import pytest
from PIL import Image

from mcltoolkit.data import read_exemplar_list, read_image, read_labels
from mcltoolkit.data.storage import Member, fetch, read_bytes, read_text
from mcltoolkit.errors import DataError


class Folder:
    """The source of one file that stands for a shard."""

    def __init__(self, path):
        self.path = path

    def local(self, shard):
        return self.path


@pytest.fixture
def served(tmp_path):
    """URL of a server that fails so many times before it answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        failures, asked = 0, 0

        def do_GET(self):
            Handler.asked += 1
            content = (tmp_path / self.path.lstrip("/")).read_bytes()
            if Handler.asked <= Handler.failures:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    server.server_close()


def test_readers_take_paths_urls_and_members_alike(tmp_path, served):
    url, _ = served
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    labels = rng.integers(0, 4, (9, 7), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(labels).save(tmp_path / "b.png")
    head = (tmp_path / "a.png").read_bytes()
    (tmp_path / "all").write_bytes(b"xyz" + head + (tmp_path / "b.png").read_bytes())
    source = Folder(tmp_path / "all")
    a = Member.at(source, 0, "all::a.png", (3, len(head), None))
    b = Member.at(source, 0, "all::b.png", (3 + len(head), 10**6, None))
    for place in (tmp_path / "a.png", f"{url}/a.png", a):
        assert (read_image(place) == image).all()
    assert (read_labels(f"{url}/b.png", 4) == labels).all()
    with pytest.raises(DataError, match="all::b.png is truncated"):
        read_labels(b, 4)
    assert read_bytes(a) == head


def test_lists_are_read_from_anywhere(tmp_path, served):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa.jpg,b.jpg\r\nc.jpg,d.jpg\r\n")
    url, _ = served
    assert read_exemplar_list(f"{url}/list.txt") == read_exemplar_list(tmp_path / "list.txt")
    assert read_text(f"{url}/list.txt") == (tmp_path / "list.txt").read_text("utf-8-sig")


def test_a_server_that_fails_at_first_is_asked_again(tmp_path, served, monkeypatch):
    (tmp_path / "f").write_bytes(b"content")
    url, handler = served
    waits = []
    monkeypatch.setattr("mcltoolkit.data.storage.time.sleep", waits.append)
    handler.failures = 2
    assert fetch(f"{url}/f", attempts=3) == b"content"
    assert waits == [0.5, 1.0]
    handler.asked = 0
    with pytest.raises(DataError, match=rf"{url}/f cannot be read \(2 attempts.*503.*data_root"):
        fetch(f"{url}/f", attempts=2)
    assert handler.asked == 2


def test_what_no_backend_serves(tmp_path):
    for place in ("nosuch://x/y.png", "a://b://c"):
        with pytest.raises(DataError, match=rf"no file backend for {place}.*plugin"):
            read_image(place)
