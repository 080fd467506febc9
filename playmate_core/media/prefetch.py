"""Two stages at once: one on a thread of its own, a bounded queue between them, and no thread left when either ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")
#: Items that may wait between two stages: enough to overlap, little to hold.
WAITING = 2
#: Seconds after which a waiting side looks whether the other is still there.
_LOOK = 0.1


class Outcome:
    """What ended a thread's work, Cancel included: ``with`` keeps it, and whoever waits for the work raises it."""

    problem: BaseException | None = None

    def __enter__(self) -> Outcome:
        return self

    def __exit__(self, kind: Any, problem: BaseException | None, trace: Any) -> bool:
        self.problem = problem
        return True


class _Channel(Generic[T]):
    """A bounded queue that either side can shut; what ended the giving side is raised on the taking one."""

    def __init__(self) -> None:
        self._queue: queue.Queue[T] = queue.Queue(WAITING)
        self._given = threading.Event()
        self._shut = threading.Event()
        self.outcome = Outcome()

    def put(self, item: T) -> bool:
        """Wait for room; False when nobody takes any more."""
        while not self._shut.is_set():
            try:
                self._queue.put(item, timeout=_LOOK)
                return True
            except queue.Full:
                continue
        return False

    def end(self) -> None:
        """No more will be put."""
        self._given.set()

    def shut(self) -> None:
        """No more will be taken."""
        self._shut.set()

    def __iter__(self) -> Iterator[T]:
        while not self._shut.is_set():
            ended = self._given.is_set()  # before looking, or the last item could be missed
            try:
                yield self._queue.get(timeout=_LOOK)
            except queue.Empty:
                if ended:
                    return


def prefetch(items: Iterable[T]) -> Generator[T, None, None]:
    """``items`` in order, made on a thread that runs a little ahead of whoever takes them.

    What goes wrong in making them is raised here. Closing this iterator ends the thread: take it in ``with closing``,
    or an exception's traceback keeps both alive.
    """
    channel: _Channel[T] = _Channel()

    def make() -> None:
        source = iter(items)
        try:
            with channel.outcome:
                for item in source:
                    if not channel.put(item):
                        break
        finally:
            if isinstance(source, Iterator) and hasattr(source, "close"):
                source.close()
            channel.end()

    thread = threading.Thread(target=make, name="ahead", daemon=True)
    thread.start()
    try:
        yield from channel
        if channel.outcome.problem:
            raise channel.outcome.problem
    finally:
        channel.shut()
        thread.join()


@contextmanager
def background_consumer(take: Callable[[Iterator[T]], object]) -> Iterator[Callable[[T], None]]:
    """Let ``take`` consume, on a thread, what the block hands to the function it is given.

    Leaving the block waits until all is consumed; leaving it by an exception drops what waits. What goes wrong in
    ``take`` is raised in the block, at the next item or at its end.
    """
    channel: _Channel[T] = _Channel()

    def consume() -> None:
        with channel.outcome:
            take(iter(channel))
        channel.shut()

    def give(item: T) -> None:
        if not channel.put(item) and channel.outcome.problem:
            raise channel.outcome.problem

    thread = threading.Thread(target=consume, name="behind", daemon=True)
    thread.start()
    try:
        yield give
        channel.end()
        while thread.is_alive():
            thread.join(0.5)  # in slices, so that Ctrl-C is heard on every system
    finally:
        channel.shut()
        thread.join()
    if channel.outcome.problem:
        raise channel.outcome.problem
