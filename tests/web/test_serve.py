import argparse
import builtins
import importlib.util
import os
import socket

import pytest

from mcltoolkit.errors import ConfigError
from mcltoolkit.web import demo, require_gradio


def test_a_port_is_free_or_the_next_step_is_told():
    require_gradio()
    from mcltoolkit.web.serve import choose_port

    port = choose_port("127.0.0.1", 0)
    assert port > 1023
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(
            ConfigError, match=rf"port {port} of 127.0.0.1 .*--port 0 for a free one"
        ):
            choose_port("127.0.0.1", port)
    assert choose_port("127.0.0.1", port) == port
    with pytest.raises(ConfigError, match="--port is 70000; allowed are"):
        choose_port("127.0.0.1", 70000)
    with pytest.raises(ConfigError, match="--host no.such.host.invalid is not known"):
        choose_port("no.such.host.invalid", 0)
    with pytest.raises(ConfigError, match="cannot be used"):
        choose_port("203.0.113.7", 0)


def test_gradio_is_asked_for_by_its_extra(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "gradio" else found(name, *a)
    )
    with pytest.raises(ConfigError, match=r"pip install 'mcltoolkit\[web\]'"):
        demo.run(argparse.Namespace())


def test_gradio_is_told_to_stay_offline(monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    require_gradio()
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_the_command_line_needs_no_gradio(monkeypatch, capsys):
    from mcltoolkit import cli

    plain = builtins.__import__

    def refuse(name, *rest):
        assert not name.startswith("gradio"), "imported too early"
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for option in (
        "--host",
        "--port",
        "--device",
        "--plugins",
        "--examples",
        "--exemplars",
        "--open",
    ):
        assert option in said


def test_uploads_go_to_a_folder_that_ends(monkeypatch):
    require_gradio()
    from pathlib import Path

    from mcltoolkit.web.serve import own_folder

    monkeypatch.setenv("GRADIO_TEMP_DIR", "before")
    with own_folder() as folder:
        assert os.environ["GRADIO_TEMP_DIR"] == folder
        (Path(folder) / "upload.png").write_bytes(b"")
    assert not Path(folder).exists()
    assert os.environ["GRADIO_TEMP_DIR"] == "before"
