import threading

import pytest

from controller.store.turnstile import Turnstile


def test_first_come_first_served() -> None:
    """Whoever waits longest is let in next, even where the one inside comes again at once."""
    turnstile = Turnstile()
    order: list[int] = []
    arrived = [threading.Event() for _ in range(5)]

    def enter(number: int) -> None:
        arrived[number].set()
        with turnstile:
            order.append(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(5)]
    with turnstile:
        for number, thread in enumerate(threads):
            thread.start()
            arrived[number].wait()
            while len(turnstile._waiting) <= number:
                pass
    with turnstile:
        order.append(99)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4, 99]


def test_entering_twice_raises() -> None:
    """A thread that is inside cannot enter again, and is still inside afterwards."""
    turnstile = Turnstile()
    with turnstile:
        with pytest.raises(RuntimeError, match="do not nest"), turnstile:
            pass
        assert turnstile.held_here()
    assert not turnstile.held_here()
