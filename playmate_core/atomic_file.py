"""Files that appear under their name only when they are complete: written beside it, then renamed."""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import re
import shutil
import time
from pathlib import Path
from types import TracebackType

from .errors import UserError


class NotReplaced(UserError):
    """A complete file could not be given its name; it is kept, and the sentence says where."""


#: Part of the name of every temporary file this program writes, so that it never deletes a foreign file.
MARK = "playmate"
#: A temporary file of another machine is removed once it is this old: its process cannot be checked from here.
STALE_SECONDS = 24 * 3600.0
#: Bytes of a file's own name that are kept at the start of derived names: file systems limit names to 255 bytes.
_SHOWN = 80
_NAME = re.compile(rf"^\..*\.{MARK}-([0-9a-f]{{8}})-(\d+)-\d+\.(part|parts)$")
_numbers = itertools.count()


def beside(path: Path, ending: str) -> Path:
    """A hidden name beside ``path`` with MARK, the same on every call; long names are truncated and hashed."""
    stem = _cut(path.name)
    if stem != path.name:
        stem += f"-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}"
    return path.with_name(f".{stem}.{MARK}-{ending}")


def temporary_name(path: Path, ending: str = "part") -> Path:
    """A hidden name beside ``path``, unique per call: it holds machine, process id and a counter."""
    return path.with_name(f".{_cut(path.name)}.{MARK}-{_machine()}-{os.getpid()}-{next(_numbers)}.{ending}")


def is_temporary(name: str) -> bool:
    """Whether ``name`` was made by :func:`temporary_name`."""
    return _NAME.match(name) is not None


class AtomicFile:
    """``with AtomicFile(path) as temporary:`` write to ``temporary``; it is renamed to ``path`` when the block ends.

    An exception, Ctrl-C included, removes the temporary file. ``commit`` and ``discard`` do the same without a block.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.temporary = temporary_name(self.path)

    def commit(self) -> None:
        """Rename the temporary file to ``path``. On failure removes it and raises OSError."""
        try:
            os.replace(self.temporary, self.path)
        except OSError:
            self.discard()
            raise

    def commit_or_keep(self) -> None:
        """As :meth:`commit`, for files that took long to make: on failure raises NotReplaced and keeps the file under
        a name that :func:`remove_stale` does not delete."""
        try:
            os.replace(self.temporary, self.path)
        except OSError as problem:
            raise NotReplaced(
                f"{self.path} cannot be replaced ({problem.strerror or problem}); what was made is kept as"
                f" {self._kept()}, please move it from there."
            ) from problem

    def discard(self) -> None:
        """Remove the temporary file."""
        self.temporary.unlink(missing_ok=True)

    def _kept(self) -> Path:
        stem = _cut(self.path.stem)
        for number in itertools.count(1):
            kept = self.path.with_name(f"{stem}.kept-{number}{self.path.suffix}")
            if not kept.exists():
                break
        try:
            os.rename(self.temporary, kept)
        except OSError:
            return self.temporary
        return kept

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a whole file atomically: a full disk or a kill leaves the old file, or none. Raises UserError on
    failure."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with AtomicFile(path) as temporary, temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise UserError(
            f"{path} could not be written ({problem.strerror or problem}, {len(data) / 1e6:.1f} MB wanted); free some"
            " space or choose another folder."
        ) from problem


def remove_stale(folder: Path) -> None:
    """Delete temporary files and folders that killed processes of this program left in ``folder``."""
    try:
        left = [(path, match) for path in folder.iterdir() if (match := _NAME.match(path.name))]
    except OSError:
        return
    for path, match in left:
        try:
            if not _is_stale(path, match[1], int(match[2])):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        except OSError:  # already removed, or not permitted: not worth failing for
            continue


def _is_stale(path: Path, machine: str, process: int) -> bool:
    import psutil

    changed = max((one.stat().st_mtime for one in (path, *path.glob("*"))), default=0.0)
    if machine != _machine():
        return time.time() - changed > STALE_SECONDS
    try:
        return psutil.Process(process).create_time() > changed + 60.0  # the process id was reused
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _cut(name: str) -> str:
    """The beginning of a file name, at most ``_SHOWN`` bytes."""
    name = name[:_SHOWN]
    while len(os.fsencode(name)) > _SHOWN:
        name = name[:-1]
    return name


def _machine() -> str:
    """Eight hexadecimal digits that identify the machine and its process id namespace (container)."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        processes = ""
    return hashlib.sha256(f"{platform.node()} {processes}".encode()).hexdigest()[:8]
