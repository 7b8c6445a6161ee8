"""A bound on what a request may bring, before anything of it is parsed or kept.

Gradio bounds each uploaded file, but neither their number in a request nor what a canvas sends.
This is an ASGI middleware (https://asgi.readthedocs.io/en/latest/specs/www.html): a request that
states its length is refused at once, one that comes in parts when the parts are too many.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class BoundedBodies:
    """An application whose requests have at most `most` bytes; others get the answer 413.

    Args:
        app: the application inside.
        most: bytes of a request's body.
    """

    def __init__(self, app: App, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        stated = headers.get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > self.most:
            await _refuse(send, self._words())
            return
        files = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        found = 0

        async def counted() -> Message:
            nonlocal found
            message = await receive()
            found += len(message.get("body", b""))
            if found > self.most:
                raise _too_much(self._words(), files)
            return message

        await self.app(scope, counted, send)

    def _words(self) -> str:
        return f"The request exceeds the maximum allowed size of {self.most} bytes."


def _too_much(words: str, files: bool) -> Exception:
    """What the parser inside turns into the answer 413; that of files removes its files on it."""
    from fastapi import HTTPException
    from starlette.formparsers import MultiPartException

    return MultiPartException(words) if files else HTTPException(413, words)


async def _refuse(send: Send, words: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})
