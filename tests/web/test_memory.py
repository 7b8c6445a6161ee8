import asyncio
import datetime
import time

import pytest

from mcltoolkit.inference import ExemplarCache
from mcltoolkit.web import require_gradio
from mcltoolkit.web.desk import Desk
from mcltoolkit.web.examples import scene_examples
from mcltoolkit.web.memory import forget, forgetting

require_gradio()


@pytest.fixture
def page(plain_model):
    from gradio.state_holder import StateHolder

    from mcltoolkit.web.page import build_page

    page = build_page(Desk(plain_model, *scene_examples(plain_model, (32, 32), 2)))
    StateHolder().set_blocks(page)
    return page


def test_a_visitor_and_what_was_shown_go_an_hour_after_the_last_action(page, monkeypatch):
    holder, cache = page.state_holder, ExemplarCache()
    for visitor in ("old", "new"):
        holder[visitor]._update_value_in_config(next(iter(page.blocks)), "a preview")
    now = datetime.datetime.now()
    holder.time_last_used["old"] = now - datetime.timedelta(seconds=3601)
    holder.time_last_used["new"] = now - datetime.timedelta(seconds=3500)
    cache.get("an exemplar", object)
    forget(page, cache, 3600)
    assert list(holder.session_data) == list(holder.time_last_used) == ["new"]
    assert len(cache) == 1
    started = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: started + 3601)
    forget(page, cache, 3600)
    assert len(cache) == 0


def test_it_is_done_again_and_again_while_the_page_is_served(page):
    cache = ExemplarCache()

    async def serve():
        async with forgetting(page, cache, age=0, period=0.01)(None):
            for visitor in ("first", "second"):
                page.state_holder[visitor]
                for _ in range(500):
                    await asyncio.sleep(0.01)
                    if visitor not in page.state_holder:
                        break
                assert visitor not in page.state_holder

    asyncio.run(serve())


def test_the_served_page_does_so(page, plain_model, monkeypatch):
    """With the period of the page itself shortened, through the real application."""
    from mcltoolkit.web import memory, serve

    used = []

    def quick(*given):
        used.append(given)
        return memory.forgetting(*given[:2], 0, 0.01)

    monkeypatch.setattr(serve, "forgetting", quick)
    desk = Desk(plain_model)
    serve.launch(page, desk, "127.0.0.1", serve.choose_port("127.0.0.1", 0))
    try:
        assert used == [(page, plain_model.exemplars, 3600)]
        page.state_holder["visitor"]
        for _ in range(500):
            time.sleep(0.01)
            if "visitor" not in page.state_holder:
                break
        assert "visitor" not in page.state_holder
    finally:
        page.close(verbose=False)
