"""What `mcltoolkit demo` does: load the model, gather examples, serve the page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mcltoolkit.web import require_gradio


def run(options: argparse.Namespace) -> None:
    """Serve the page until the process is told to stop.

    Raises:
        ToolkitError: Gradio is missing, the port is taken, or the checkpoint or a folder of
            examples cannot be used.
    """
    require_gradio()
    from mcltoolkit.web.page import build_page
    from mcltoolkit.web.serve import LOCAL, choose_port, launch, own_folder, wait

    port = choose_port(options.host, options.port)
    desk = prepare(options)
    with own_folder():
        page = build_page(desk)
        url = launch(page, desk, options.host, port, options.open)
        if options.host not in LOCAL:
            print(
                f"warning: --host {options.host} lets everyone who reaches this machine on port "
                f"{port} use the page; there is no password",
                file=sys.stderr,
            )
        print(f"the page is at {url} - Ctrl+C ends it", flush=True)
        wait(page)


def prepare(options: argparse.Namespace):  # type: ignore[no-untyped-def]
    """The desk that the options describe; see `run` for the errors."""
    from mcltoolkit.inference import load_model
    from mcltoolkit.web.desk import Desk
    from mcltoolkit.web.examples import (
        condition_examples,
        exemplar_examples,
        has_scene_classes,
        scene_examples,
    )

    model = load_model(Path(options.checkpoint), options.device, options.plugins)
    desk = Desk(model)
    conditions, exemplars = (
        scene_examples(model, desk.size) if has_scene_classes(model) else ([], [])
    )
    if options.examples:
        conditions = condition_examples(options.examples, model)
    if options.exemplars:
        exemplars = exemplar_examples(options.exemplars, model, options.exemplar_labels)
    return Desk(model, conditions, exemplars)
