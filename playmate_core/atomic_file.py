"""Files that appear under their name only when they are complete: written beside it, then renamed."""

from __future__ import annotations

import itertools
import os
import re
import time
from pathlib import Path
from types import TracebackType

from .errors import UserError


class NotReplaced(UserError):
    """A complete file could not be given its name; it is kept, and the sentence says where."""


#: In the name of everything temporary that this program writes, so that it never deletes a file of somebody else.
MARK = "playmate"
#: A temporary file of a dead process is removed once it is this old; a shared folder may belong to two machines.
STALE_SECONDS = 600.0
_NAME = re.compile(rf"^\..*\.{MARK}-(\d+)-\d+\.part$")
_numbers = itertools.count()


class AtomicFile:
    """``with AtomicFile(path) as temporary:`` write to ``temporary``, which becomes ``path`` when the block is left.

    An exception, Ctrl-C included, removes what was written. ``commit`` and ``discard`` do the same without a block.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        # The visible part is cut, or a long name would become one that file systems refuse (255 bytes).
        stem = self.path.name.encode()[:80].decode(errors="ignore")
        self.temporary = self.path.with_name(f".{stem}.{MARK}-{os.getpid()}-{next(_numbers)}.part")

    def commit(self) -> None:
        """Give the file its name. Raises OSError where that is refused; what was written is removed."""
        try:
            os.replace(self.temporary, self.path)
        except OSError:
            self.discard()
            raise

    def commit_or_keep(self) -> None:
        """As :meth:`commit`, for what took long to make: where it is refused, raises NotReplaced and keeps the file."""
        try:
            os.replace(self.temporary, self.path)
        except OSError as problem:
            raise NotReplaced(
                f"{self.path} cannot be replaced ({problem.strerror or problem}); what was made is kept as"
                f" {self.temporary}, please move it from there."
            ) from problem

    def discard(self) -> None:
        """Remove what was written."""
        self.temporary.unlink(missing_ok=True)

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
    """Write a whole file: a full disk or a kill leaves the old file, or none. Raises UserError where it fails."""
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
    """Delete temporary files that processes of this program left in ``folder`` when they were killed."""
    import psutil

    for path in folder.glob(f".*.{MARK}-*.part"):
        match = _NAME.match(path.name)
        try:
            if match and time.time() - path.stat().st_mtime > STALE_SECONDS and not psutil.pid_exists(int(match[1])):
                path.unlink()
        except OSError:  # somebody else removed it, or it may not be removed: not worth failing for
            continue
