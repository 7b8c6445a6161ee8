"""The page on a port of this machine, until Ctrl+C; nothing leaves the machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from mcltoolkit.errors import ConfigError
from mcltoolkit.web.bodies import BoundedBodies
from mcltoolkit.web.canvas import most_text
from mcltoolkit.web.components import asset
from mcltoolkit.web.desk import Desk
from mcltoolkit.web.limits import MOST_BYTES
from mcltoolkit.web.memory import forgetting
from mcltoolkit.web.page import STATE_SECONDS

LOCAL = ("127.0.0.1", "localhost", "::1")
SESSIONS = 16  # visitors remembered at a time; the one who came first is forgotten first
WAITING = 32
EXTRA_BYTES = 4 * 1024**2  # previews, which lie under the canvases, and the parts' headers
FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]


def choose_port(host: str, port: int) -> int:
    """The port, which has to be free, or a free one for 0.

    Raises:
        ConfigError: the port is taken or not allowed, or the host is not this machine's.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port is {port}; allowed are 1..65535, or 0 for a free one")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except socket.gaierror as error:
        raise ConfigError(
            f"--host {host} is not known here ({error.strerror}); give 127.0.0.1, or 0.0.0.0 for "
            f"all of this machine's addresses"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"port {port} of {host} cannot be used: {error.strerror}; give --port another number, "
            f"or --port 0 for a free one"
        ) from error


@contextlib.contextmanager
def own_folder() -> Iterator[str]:
    """A folder for uploads, which ends with the page; build the page inside this context."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="mcltoolkit-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield folder
        finally:
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def theme() -> gr.Theme:
    """Fonts of the reader's system, so that none is fetched, and the reports' colours."""
    return gr.themes.Default(
        primary_hue="blue", neutral_hue="slate", radius_size="md", font=FONT, font_mono=MONO
    )


def most_body(desk: Desk) -> int:
    """Bytes of a request: an upload, or the page's two canvases, and what goes with them."""
    canvases = 2 * most_text(desk.model.channels, desk.most) if desk.draws else 0
    return max(MOST_BYTES, canvases) + EXTRA_BYTES


def launch(page: gr.Blocks, desk: Desk, host: str, port: int, browser: bool = False) -> str:
    """Serve the page in the background.

    Args:
        page: from `build_page`.
        desk: the same that it was built for.
        host: address to listen on.
        port: from `choose_port`.
        browser: open the page in this machine's browser.

    Returns:
        Its URL on this machine.

    Raises:
        ConfigError: the port was taken meanwhile.
    """
    page.queue(default_concurrency_limit=1, max_size=WAITING, api_open=False)
    local = sorted({*os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(","), *LOCAL})
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, local))
    try:
        page.launch(
            inbrowser=browser,
            share=False,
            quiet=True,
            show_error=False,
            prevent_thread_lock=True,
            server_name=host,
            server_port=port,
            max_file_size=MOST_BYTES,
            state_session_capacity=SESSIONS,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            run_history=False,
            footer_links=[],
            app_kwargs={
                "docs_url": None,
                "redoc_url": None,
                "openapi_url": None,
                "lifespan": forgetting(page, desk.model.exemplars, STATE_SECONDS),
                "middleware": [Middleware(BoundedBodies, most=most_body(desk))],
            },
            theme=theme(),
            css=asset("page.css"),
        )
    except OSError as error:
        raise ConfigError(
            f"port {port} of {host} cannot be used: {error}; give --port another number"
        ) from error
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"


def wait(page: gr.Blocks) -> None:
    """Until the process is told to stop; then the page ends."""
    stop = threading.Event()

    def ask(*_: Any) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    stop.wait()
    page.close(verbose=False)
