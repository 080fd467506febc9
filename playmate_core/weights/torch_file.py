"""Read files of torch.save as tensors and plain values only; code in them is never run."""

from __future__ import annotations

import pickle
import re
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from .tensor_file import content_seems_to_be

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
#: Wrapper prefixes of tensor names.
_PREFIX = re.compile(r"^(?:(?:module|model|state_dict|model_state_dict)\.)+")
_ALLOWING = threading.Lock()


def read_torch_file(path: Path, extras: bool = False) -> Any:
    """The content of the file. Raises UserError for anything but plain tensors.

    ``extras``: also accept training options and paths, as inert objects.
    """
    try:
        with warnings.catch_warnings(), _allowed(_stand_ins() if extras else []):
            warnings.simplefilter("ignore")  # PyTorch warns about a pickle before it refuses it
            # Not memory-mapped: mapped tensors would have to be copied, doubling peak memory.
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path.name} is no plain file of tensors ({type(error).__name__}){content_seems_to_be(path)}: it is"
            " damaged, or it holds code, which is never run; please download it again, or use the .safetensors."
        ) from error


def tensors_of(content: Any) -> dict[str, Tensor]:
    """All tensors by name, nested names joined and wrapper prefixes removed; floats as float32."""
    return {_PREFIX.sub("", key): _as_held(value) for key, value in _leaves(content)}


def stripped(name: str) -> str:
    """A name without wrapper prefixes."""
    return _PREFIX.sub("", name)


def names_in(path: Path) -> bytes:
    """The raw pickle inside a file of torch.save, which contains the tensor names as plain bytes; empty if none."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            return archive.read(inside) if inside else b""
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, KeyError):
        return b""


def _stand_ins() -> list[Any]:
    """Inert replacements of the classes that training scripts store in their files: options and paths."""

    class Options:
        """In place of argparse.Namespace."""

    class Folder(str):
        """In place of a path of any system."""

        def __new__(cls, *parts: str) -> Folder:
            return super().__new__(cls, "/".join(str(part) for part in parts))

    named: list[tuple[str, str, type]] = [("argparse", "Namespace", Options)]
    named += [("pathlib", name, Folder) for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")]
    named += [("pathlib._local", name, Folder) for name in ("PosixPath", "WindowsPath")]
    return [type(name, (base,), {"__module__": module}) for module, name, base in named]


@contextmanager
def _allowed(classes: list[Any]) -> Iterator[None]:
    """Let torch.load create these classes, besides those allowed before, while the block runs."""
    with _ALLOWING:  # torch has one global list for all threads
        before = torch.serialization.get_safe_globals()
        torch.serialization.add_safe_globals(classes)
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, Tensor):
        yield prefix, value


def _as_held(value: Tensor) -> Tensor:
    """A tensor as float32 (other dtypes unchanged), without a copy if it is float32 already."""
    return value.detach().to(torch.float32 if value.is_floating_point() else value.dtype).contiguous()
