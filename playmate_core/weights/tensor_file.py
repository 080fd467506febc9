"""Checks for tensor files, ours and third-party ones, before they are loaded into a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..atomic_file import AtomicFile
from ..errors import UserError

#: ``playmate.version`` of model and motion files; increased when older programs could not read newer files.
FORMAT_VERSION = "1"
#: Known third-party files: a substring of a tensor name, and a description.
FOREIGN = (
    ("appearance.resblocks_3d.", "a Playmate face model"),
    ("resblocks_3d.", "LivePortrait's appearance feature extractor"),
    ("detector.downsample_layers", "LivePortrait's motion extractor"),
    ("dense_motion_network.", "LivePortrait's warping module"),
    ("G_middle_", "LivePortrait's generator"),
    ("retarget_shoulder", "LivePortrait's stitching module"),
    ("denoising_net.", "JoyVASA's motion generator"),
    ("seqTransDecoder.", "Ditto's motion generator"),
    ("encoder.layers.0.attention.k_proj", "a wav2vec2 or HuBERT audio encoder"),
    ("first_stage_model.", "a Stable Diffusion checkpoint"),
)


def refuse_other_format(path: Path, metadata: Mapping[str, str], otherwise: str) -> None:
    """Raise UserError unless a file has FORMAT_VERSION; ``otherwise`` is the remedy besides updating the program."""
    written = metadata.get("playmate.version")
    if written != FORMAT_VERSION:
        raise UserError(
            f"{path.name} has format version {written!r} and this program reads {FORMAT_VERSION!r}; update the program"
            f" or {otherwise}."
        )


def seems_to_be(keys: Iterable[str]) -> str:
    """A description of the file with these tensor names, "" if unknown."""
    keys = list(keys)
    return next((name for piece, name in FOREIGN if any(piece in key for key in keys)), "")


#: First bytes of files commonly mistaken for models, and their description.
BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer instead of the file itself"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x80", "a Python pickle"),
    (b"<", "a web page"),
    (b"{", "a text of JSON"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8", "a picture"),
)


def content_seems_to_be(path: Path) -> str:
    """The probable type of a file that is no model, by its first bytes: "; it seems to be ...", "" if unknown."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return ""
    seems = "" if head else "empty"
    if head[8:9] == b"{" and head[7:8] == b"\0":
        seems = "a .safetensors file, whole or in part"
    elif head.startswith(b"PK\x03\x04") and b"data.pkl" in head:
        seems = "a PyTorch file (.pth), whole or in part"
    seems = seems or next((name for start, name in BEGINNINGS if head.lstrip().startswith(start)), "")
    return f"; it seems to be {seems}" if seems else ""


def open_tensors(path: Path) -> Any:
    """An open safetensors file. Raises UserError when it is missing or damaged."""
    if not path.is_file():
        raise UserError(f"There is no model file {path}; give the path of a .safetensors file.")
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path.name} is not a complete safetensors file ({error}){content_seems_to_be(path)}; copy or load it"
            " again."
        ) from error


def restored(value: Tensor) -> Tensor:
    """A stored tensor as float32, copied, so that models do not depend on a mapped file that may change."""
    return value.to(torch.float32 if value.is_floating_point() else value.dtype, copy=True)


def refuse_nonfinite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise UserError naming the tensors that hold NaN or infinite numbers."""
    bad = [key for key, value in tensors.items() if value.is_floating_point() and not _finite(value)]
    if bad:
        raise UserError(
            f"{path.name}: the weights hold NaN or infinite numbers in {some(bad)}; use another copy or checkpoint."
        )


def _finite(value: Tensor) -> bool:
    # Minimum and maximum suffice, without a second tensor of the same size.
    return value.numel() == 0 or all(bool(end.isfinite()) for end in value.aminmax())


def differences(got: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], prefix: str = "") -> str:
    """How the tensors of a file differ from those a network has, as "it misses a; it has the unknown b", or "".

    ``prefix`` is prepended to the names.
    """
    got, wanted = ({prefix + key: shape for key, shape in shapes.items()} for shapes in (got, wanted))
    missing, extra = set(wanted) - set(got), set(got) - set(wanted)
    other = [f"{k} {got[k]} instead of {wanted[k]}" for k in set(wanted) & set(got) if got[k] != wanted[k]]
    named = (("misses", missing), ("has the unknown", extra), ("has", other))
    return "; ".join(f"it {verb} {some(names)}" for verb, names in named if names)


def some(names: Iterable[str], limit: int = 3) -> str:
    """The first few names in order, and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically, without a second copy of its tensors in memory. Raises UserError."""
    from safetensors.torch import save_file

    size = sum(value.numel() * value.element_size() for value in tensors.values())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with AtomicFile(path) as temporary:
            save_file({key: value.contiguous() for key, value in tensors.items()}, temporary, dict(metadata))
    except (OSError, SafetensorError) as problem:
        raise UserError(
            f"{path} could not be written ({getattr(problem, 'strerror', None) or problem}, {size / 1e6:.1f} MB"
            " wanted); free some space or choose another folder."
        ) from problem
