"""Two stages at once: they overlap, keep their order, and end together."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from worker_threads import PATIENCE, ours

from playmate_core.media.prefetch import WAITING, background_consumer, prefetch


def test_ahead_overlaps_keeps_order_and_is_bounded() -> None:
    ahead, too_far = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        for i in range(8):
            if i == 1 + WAITING:  # the first was taken, WAITING wait and this one is in hand
                ahead.set()
            if i > 1 + WAITING:
                too_far.set()
            yield i

    taken = prefetch(source())
    assert next(taken) == 0
    assert ahead.wait(PATIENCE) and not too_far.wait(0.3), "on while nobody asks, but not far"
    assert list(taken) == list(range(1, 8)) and not ours()


def test_ahead_ends_with_either_side() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    taken = prefetch(endless())
    next(taken)
    taken.close()  # type: ignore[attr-defined]
    assert closed.is_set() and not ours()

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the video ends here")

    seen = []
    with pytest.raises(OSError, match="ends here"):
        for item in prefetch(broken()):
            seen.append(item)
    assert seen == [1] and not ours()


def test_behind_consumes_everything_or_ends() -> None:
    got: list[int] = []
    with background_consumer(got.extend) as give:
        for i in range(20):
            give(i)
    assert got == list(range(20)) and not ours()

    def refuse(items: Iterator[int]) -> None:
        next(items)
        raise OSError("full")

    with pytest.raises(OSError, match="full"), background_consumer(refuse) as give:
        for i in range(100):
            give(i)
    with pytest.raises(OSError, match="full"), background_consumer(refuse) as give:
        give(1)  # told at the end at the latest
    with pytest.raises(KeyboardInterrupt), background_consumer(got.extend) as give:
        raise KeyboardInterrupt
    assert not ours()
