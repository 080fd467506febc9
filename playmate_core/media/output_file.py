"""Output files: checked before the slow part, and locked against other jobs that write to the same path."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from ..atomic_file import beside, remove_stale
from ..errors import UserError

#: Free space required to begin a video.
LEAST_FREE_BYTES = 32 << 20


def check_output(path: str | Path, suffix: str = ".mp4") -> Path:
    """Raise UserError unless a file can be written to ``path``; call it before any slow work.

    Removes temporary files that killed processes of this program left in its folder.
    """
    path = Path(path)
    if path.suffix.lower() != suffix:
        raise UserError(f"The output {path} must end in {suffix}; please rename it.")
    check_folder(path.parent)
    try:
        kind = path.stat().st_mode if os.path.lexists(path) and path.exists() else None
        if kind is None:
            os.lstat(path)  # a name that is too long is refused
    except FileNotFoundError:
        kind = None
    except OSError as problem:
        raise UserError(f"The output {path} cannot be written ({problem.strerror}); please choose another.") from None
    if kind is not None:
        _check_existing(path, kind)
    remove_stale(path.parent)
    return path


def check_folder_output(path: str | Path) -> Path:
    """Raise UserError unless a new folder of pictures can be made at ``path``; call it before any slow work."""
    path = Path(path)
    check_folder(path.parent)
    try:
        held = next(path.iterdir(), None) if path.is_dir() else None
        if path.exists() and not path.is_dir():
            raise UserError(f"The output {path} is a file, where a folder for pictures is to be; please rename it.")
    except OSError as problem:
        raise UserError(f"The output {path} cannot be written ({problem.strerror}); please choose another.") from None
    if held is not None:
        raise UserError(f"The output folder {path} holds {held.name} already; please empty it or name a new one.")
    remove_stale(path.parent)
    return path


def _check_existing(path: Path, kind: int) -> None:
    if stat.S_ISDIR(kind):
        raise UserError(f"The output {path} is a folder; please name a file in it.")
    if not stat.S_ISREG(kind):
        raise UserError(f"The output {path} is a device or a pipe; please name a file.")
    try:
        with path.open("r+b"):  # fails for write-protected files, and on Windows for files open in a player
            pass
    except OSError as problem:
        raise UserError(
            f"The output {path} cannot be replaced ({problem.strerror}): it is write-protected, or open in another"
            " program; please close it there or choose another name."
        ) from problem


def check_folder(folder: Path) -> None:
    """Raise UserError unless ``folder`` exists, is writable and has free space."""
    try:
        if not folder.is_dir():
            file = next((one for one in (folder, *folder.parents) if one.is_file()), None)
            if file:
                raise UserError(f"The output folder {folder} does not exist: {file} is a file; please choose another.")
            raise UserError(f"The output folder {folder} does not exist; please make it first.")
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as problem:
        raise UserError(
            f"The output folder {folder} cannot be written ({problem.strerror}); please choose another."
        ) from problem
    if free < LEAST_FREE_BYTES:
        raise UserError(f"The disk of {folder} is full ({free >> 20} MB free); please make room or choose another.")


class OutputLock:
    """``with OutputLock(path):`` an advisory lock against other jobs that write to ``path``.

    An operating-system lock on a hidden file beside ``path``, which contains the process id and is removed at the end;
    the lock of a killed process is released by the system. On file systems without locks it does nothing. Raises
    UserError when another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, beside(path, "lock")
        self._open: IO[bytes] | None = None

    def __enter__(self) -> OutputLock:
        while True:
            try:
                held = self.file.open("a+b")
            except OSError:  # not writable: writing the output will report it
                return self
            try:
                _lock(held)
            except BlockingIOError:
                raise UserError(self._refusal(held)) from None
            except OSError:  # no locks here
                held.close()
                self.file.unlink(missing_ok=True)
                return self
            if self._is_current(held):
                break
            held.close()  # its owner deleted the file between open and lock
        held.truncate(0)
        held.write(f"{os.getpid()}\n".encode())
        held.flush()
        self._open = held
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is None:
            return
        if os.name == "nt":  # Windows cannot delete an open file
            self._open.close()
        try:
            self.file.unlink(missing_ok=True)
        except OSError:  # another process opened it just now
            pass
        self._open.close()
        self._open = None

    def _is_current(self, held: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(held.fileno()), self.file.stat())
        except FileNotFoundError:
            return False

    def _refusal(self, held: IO[bytes]) -> str:
        try:
            held.seek(0)
            owner = held.read().decode(errors="replace").strip()
        except OSError:
            owner = ""
        held.close()
        return (
            f"Another run{f' (process {owner})' if owner else ''} is writing {self.path}; please wait for it or choose"
            " another name."
        )


def _lock(file: IO[bytes]) -> None:
    """Lock a whole file for this open handle. Raises BlockingIOError when another has it."""
    if os.name == "nt":
        import msvcrt

        file.seek(1 << 20)  # beyond the content, so that others can read it
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except PermissionError as problem:
            raise BlockingIOError from problem
        return
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
