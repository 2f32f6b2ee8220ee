from __future__ import annotations

import asyncio
from concurrent.futures import Future

import pytest

from controller.errors import TemporaryError
from controller.receiver import postbox
from controller.receiver.postbox import Postbox


def test_a_store_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch):
    """A request whose commit does not come is told to come again; one that is answered is not."""
    monkeypatch.setattr(postbox, "PATIENCE", 0.02)
    monkeypatch.setattr(postbox, "_LOOK", 0.01)

    async def both() -> tuple[str, str]:
        box: Postbox[str] = Postbox(asyncio.get_running_loop())
        answered: Future[str] = Future()
        silent: Future[str] = Future()
        waiting = [asyncio.ensure_future(box.wait(future)) for future in (answered, silent)]
        answered.set_result("stored")
        first = await waiting[0]
        with pytest.raises(TemporaryError, match="does not answer"):
            await waiting[1]
        silent.set_result("late")  # whoever asked has gone
        await asyncio.sleep(0)
        return first, silent.result()

    assert asyncio.run(both()) == ("stored", "late")
