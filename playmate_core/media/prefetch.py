"""Run two pipeline stages concurrently: a worker thread and a bounded queue, both closed when either side ends."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")
#: Capacity of the queue between two stages: enough to overlap, little memory.
WAITING = 2
#: Timeout in seconds after which a waiting side checks whether the other has ended.
_LOOK = 0.1


class Outcome:
    """The exception that ended a thread, cancellation included: ``with`` stores it for the waiting thread to raise."""

    problem: BaseException | None = None

    def __enter__(self) -> Outcome:
        return self

    def __exit__(self, kind: Any, problem: BaseException | None, trace: Any) -> bool:
        self.problem = problem
        return True


class _Channel(Generic[T]):
    """A bounded queue that either side can close; the producer's exception is kept for the consumer."""

    def __init__(self) -> None:
        self._queue: queue.Queue[T] = queue.Queue(WAITING)
        self._ended = threading.Event()
        self._shut = threading.Event()
        self.outcome = Outcome()

    def put(self, item: T) -> bool:
        """Wait for space; False when the consumer has closed the channel."""
        while not self._shut.is_set():
            try:
                self._queue.put(item, timeout=_LOOK)
                return True
            except queue.Full:
                continue
        return False

    def end(self) -> None:
        """Called by the producer: no more items will follow."""
        self._ended.set()

    def shut(self) -> None:
        """Called by the consumer: no more items will be taken."""
        self._shut.set()

    def __iter__(self) -> Iterator[T]:
        while not self._shut.is_set():
            ended = self._ended.is_set()  # read before the queue, or the last item could be missed
            try:
                yield self._queue.get(timeout=_LOOK)
            except queue.Empty:
                if ended:
                    return


def prefetch(items: Iterable[T]) -> Generator[T, None, None]:
    """``items`` in order, produced on a thread that runs up to WAITING items ahead of the consumer.

    Exceptions of the producer are raised here. Closing this iterator ends the thread: use ``with closing``, or an
    exception's traceback keeps both alive.
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

    thread = threading.Thread(target=make, name="prefetch", daemon=True)
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
    """Run ``take`` on a thread over the items that the block passes to the yielded function.

    Leaving the block waits until all items are consumed; leaving it by an exception drops queued items. Exceptions of
    ``take`` are raised in the block, at the next item or at its end.
    """
    channel: _Channel[T] = _Channel()

    def consume() -> None:
        with channel.outcome:
            take(iter(channel))
        channel.shut()

    def put(item: T) -> None:
        if not channel.put(item) and channel.outcome.problem:
            raise channel.outcome.problem

    thread = threading.Thread(target=consume, name="background consumer", daemon=True)
    thread.start()
    try:
        yield put
        channel.end()
        while thread.is_alive():
            thread.join(0.5)  # in slices, so that Ctrl-C is delivered on every system
    finally:
        channel.shut()
        thread.join()
    if channel.outcome.problem:
        raise channel.outcome.problem
