"""Hooks that the host application provides: cancellation, memory management and model folders.

ComfyUI (through ``nodes/``) and the command line set these once per process; setting one again replaces it. Without a
host the core still runs: it cannot be cancelled, frees nothing and searches only its own model folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Host:
    """The hooks of one process; the core calls them on :data:`HOST`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all hooks, as in a process without a host."""
        self._check_interrupted: Callable[[], object] = lambda: None
        self._is_out_of_memory: Callable[[BaseException], bool] = lambda problem: False
        self._free_memory: Callable[[], object] = lambda: None
        self._model_folders: Callable[[str], Iterable[str | Path]] = lambda category: ()

    def set_interrupt_check(self, check: Callable[[], object]) -> None:
        """Call ``check`` between units of work from now on; raising in it cancels the job."""
        self._check_interrupted = check

    def set_memory_hooks(
        self, is_out_of_memory: Callable[[BaseException], bool], free_memory: Callable[[], object]
    ) -> None:
        """``is_out_of_memory`` recognises further out-of-memory errors; ``free_memory`` releases the host's caches."""
        self._is_out_of_memory, self._free_memory = is_out_of_memory, free_memory

    def set_model_folders(self, folders: Callable[[str], Iterable[str | Path]]) -> None:
        """``folders`` lists the model folders of a category; they are searched before all others."""
        self._model_folders = folders

    def check_interrupted(self) -> None:
        """Cooperative cancellation: raises whatever the host raises when the user has cancelled."""
        self._check_interrupted()

    def interruptible(self, items: Iterable[T]) -> Iterator[T]:
        """``items``, with :meth:`check_interrupted` before the first and after each."""
        self.check_interrupted()
        for item in items:
            self.check_interrupted()
            yield item

    def is_out_of_memory(self, problem: BaseException) -> bool:
        """Whether the host recognises ``problem`` as running out of memory."""
        return self._is_out_of_memory(problem)

    def free_memory(self) -> None:
        """Let the host release memory it does not need."""
        self._free_memory()

    def model_folders(self, category: str) -> tuple[Path, ...]:
        """The host's folders of a category, in the order they are searched."""
        return tuple(Path(folder) for folder in self._model_folders(category))


#: The one host of this process.
HOST = Host()
