"""What the page's server keeps of visitors in memory, forgotten when they have left it alone.

Gradio ends the values of `gr.State` by their age, but keeps what was last shown, previews of
uploads among it, until many others have come. Here the whole of a visitor goes, and with it what
the networks made of exemplars that nobody asked for since.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from mcltoolkit.inference.cache import ExemplarCache

if TYPE_CHECKING:
    import gradio as gr

PERIOD = 60.0  # seconds between two looks


def forget(page: gr.Blocks, exemplars: ExemplarCache, age: float) -> None:
    """Forget visitors who did nothing, and exemplars that nobody used, for `age` seconds."""
    holder = page.state_holder
    now = datetime.datetime.now()
    with holder.lock:
        for visitor, used in list(holder.time_last_used.items()):
            if (now - used).total_seconds() >= age:
                holder.session_data.pop(visitor, None)
                holder.time_last_used.pop(visitor, None)
    exemplars.forget(age)


def forgetting(
    page: gr.Blocks, exemplars: ExemplarCache, age: float, period: float = PERIOD
) -> Callable[[Any], contextlib.AbstractAsyncContextManager[None]]:
    """A lifespan of the page's application, in which `forget` is called every `period` seconds."""

    async def run() -> None:
        while True:
            await asyncio.sleep(period)
            forget(page, exemplars, age)

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return lifespan
