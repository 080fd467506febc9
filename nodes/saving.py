"""Files in ComfyUI's output folder: how their names are written, where they go, and whether they are still there."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io, ui

from ..playmate_core.errors import UserError, elided
from ..playmate_core.media.output_file import check_output
from ..playmate_core.media.video_formats import MUXERS
from .runtime import node_id
from .widgets import verdict

#: Bytes of one name before the number: file systems take 255 with the number, the suffix and the mark of a half file.
LONGEST_NAME = 200
#: Saved files whose absence is noticed, for each node.
MOST_REMEMBERED = 100
_DATE = re.compile(r"%date:(.*?)%")
_DATE_PARTS = re.compile(r"yyyy|yy|MM?|dd?|hh?|mm?|ss?")
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')


def with_dates(prefix: str, now: time.struct_time | None = None) -> str:
    """``%date:yyyy-MM-dd hh-mm-ss%`` filled in, as ComfyUI's page does it for its own nodes: yyyy, yy, M, d, h, m, s,
    two letters with a leading zero. What a file name cannot hold becomes a dash."""
    now = now or time.localtime()
    numbers = {"M": now.tm_mon, "d": now.tm_mday, "h": now.tm_hour, "m": now.tm_min, "s": now.tm_sec}

    def part(found: re.Match[str]) -> str:
        letters = found[0]
        if letters[0] == "y":
            return str(now.tm_year)[-len(letters) :]
        return str(numbers[letters[0]]).zfill(len(letters))

    return _DATE.sub(lambda found: _NOT_IN_NAMES.sub("-", _DATE_PARTS.sub(part, found[1])), prefix)


def check_prefix(prefix: str) -> None:
    """Raise UserError unless ``prefix`` names a place for a file inside the output folder."""
    shown, inside = elided(repr(prefix)), os.path.normpath(with_dates(prefix))
    remedy = "please give a name such as video/Playmate"
    if any(ord(letter) < 32 for letter in prefix):
        raise UserError(f"The name {shown} holds a character that no file name can hold; {remedy}.")
    outside = os.path.isabs(inside) or os.path.splitdrive(inside)[0] or inside.split(os.sep)[0] == os.pardir
    if not prefix.strip() or outside or inside == os.curdir:
        raise UserError(f"The name {shown} leaves the output folder; {remedy}.")
    longest = max(len(os.fsencode(name)) for name in inside.split(os.sep))
    if longest > LONGEST_NAME:
        raise UserError(f"The name {shown} has a part of {longest} bytes, of which {LONGEST_NAME} are taken; {remedy}.")
    root, folder = Path(folder_paths.get_output_directory()), Path(inside).parent
    file = next((path for path in (folder, *folder.parents) if (root / path).is_file()), None)
    if file is not None:
        raise UserError(f"{file} in the output folder is a file, so that {shown} cannot lie in it; {remedy}.")


@contextmanager
def output_file(prefix: str, suffix: str, width: int = 0, height: int = 0) -> Iterator[tuple[Path, ui.SavedResult]]:
    """The next free name in the output folder, and how the page finds it. Raises UserError where it cannot be.

    An empty file takes the name at once, so that no other server and no other node that counts the files gets the same;
    it is removed when the block is left without having written it.
    """
    check_prefix(prefix)
    root = folder_paths.get_output_directory()
    try:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(with_dates(prefix), root, width, height)
    except OSError as problem:
        shown = elided(repr(prefix))
        raise UserError(
            f"{shown} cannot be made in the output folder ({problem.strerror}); please change it."
        ) from None
    if suffix in MUXERS:
        check_output(Path(folder) / f"{name}_{counter:05}_{suffix}", suffix)
    path = _claimed(Path(folder), name, counter, suffix)
    try:
        yield path, ui.SavedResult(path.name, subfolder, io.FolderType.output)
    finally:
        try:
            if not path.stat().st_size:
                path.unlink()
        except OSError:  # somebody else removed it
            pass


def _claimed(folder: Path, name: str, counter: int, suffix: str) -> Path:
    """A new empty file, numbered from ``counter`` on. Raises UserError where none can be made."""
    while True:
        path = folder / f"{name}_{counter:05}_{suffix}"
        try:
            path.open("xb").close()
        except FileExistsError:
            counter += 1
        except OSError as problem:
            raise UserError(
                f"{elided(path.name)} cannot be made in {folder} ({problem.strerror}); please change the name."
            ) from None
        else:
            return path


def parts_folder() -> Path:
    """Where the node that runs keeps the parts of its last video, so that a changed motion renders only what changed;
    in ComfyUI's temporary folder, which the server empties when it starts."""
    name = re.sub(r"\W", "_", node_id()) or "node"
    folder = Path(folder_paths.get_temp_directory()) / "playmate_parts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


class SavedFiles:
    """What nodes have saved, by their id in the graph, so that a cached run whose file was deleted runs again.

    ComfyUI keeps a result as long as a node's inputs and its fingerprint stay the same; the file may be gone by then.
    """

    def __init__(self) -> None:
        self._files: dict[str, list[Path]] = {}
        self._lost: dict[str, int] = {}

    def add(self, path: Path) -> None:
        """The node that runs has saved ``path``."""
        files = self._files.setdefault(node_id(), [])
        files.append(path)
        del files[:-MOST_REMEMBERED]

    def fingerprint(self) -> str:
        """How often the node's output files were found missing: a new number makes ComfyUI run it again."""
        node = node_id()
        files = self._files.get(node, [])
        there = [path for path in files if path.is_file()]
        if len(there) < len(files):
            self._files[node] = there
            self._lost[node] = self._lost.get(node, 0) + 1
        return str(self._lost.get(node, 0))


#: Of this process.
SAVED = SavedFiles()


class SavingNode(io.ComfyNode):
    """A node with a ``filename_prefix``, which saves into the output folder and runs again if its file was deleted."""

    @classmethod
    def validate_inputs(cls, filename_prefix: str) -> str | bool:
        return verdict(check_prefix, filename_prefix)

    @classmethod
    def fingerprint_inputs(cls, **given: Any) -> str:
        return SAVED.fingerprint()
