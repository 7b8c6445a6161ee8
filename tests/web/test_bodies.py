import asyncio

import pytest

from mcltoolkit.web import require_gradio
from mcltoolkit.web.bodies import BoundedBodies

require_gradio()


def answer(headers, parts, most=10):
    """The status, and how many bytes the application inside has seen."""
    seen, sent = [], []

    async def app(scope, receive, send):
        while True:
            message = await receive()
            seen.append(len(message["body"]))
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    waiting = [{"type": "http.request", "body": p, "more_body": True} for p in parts]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "headers": headers}
    asyncio.run(BoundedBodies(app, most)(scope, receive, send))
    return sent[0]["status"], sum(seen)


def test_a_stated_length_is_refused_before_anything_is_read():
    assert answer([(b"content-length", b"10")], [b"a" * 10]) == (200, 10)
    assert answer([(b"content-length", b"11")], [b"a" * 11]) == (413, 0)
    assert answer([(b"content-length", b"-1")], [b"a" * 11]) == (413, 0)


def test_what_comes_in_parts_is_counted():
    from fastapi import HTTPException
    from starlette.formparsers import MultiPartException

    assert answer([], [b"a" * 5, b"b" * 5]) == (200, 10)
    with pytest.raises(HTTPException) as caught:
        answer([], [b"a" * 5, b"b" * 6])
    assert caught.value.status_code == 413
    with pytest.raises(MultiPartException, match="maximum allowed size of 10 bytes"):
        answer([(b"content-type", b"multipart/form-data; boundary=x")], [b"a" * 5, b"b" * 6])
    with pytest.raises(HTTPException):
        answer([(b"content-length", b"3")], [b"a" * 11])
