"""Files in LivePortrait's published layouts, made from a face model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.weights.liveportrait import (
    GROUPS,
    PARTS,
    STITCHING,
)

Write = Callable[[Mapping[str, Any], Path], None]


OURS = {ours: theirs for theirs, ours in GROUPS.items()}


def parts_of(face: FaceModel) -> dict[str, dict[str, Tensor]]:
    return {name: dict(face.get_submodule(where).state_dict()) for name, (where, _) in PARTS.items()}


def nested(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The official stitching file: groups of ``module.`` names, and something else beside them."""
    groups: dict[str, dict[str, Tensor]] = {name: {} for name in GROUPS}
    for key, value in tensors.items():
        group, _, rest = key.partition(".")
        groups[OURS[group]][f"module.{rest}"] = value
    return groups | {"optimizer": {"step": torch.ones(3)}}


def flattened(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{OURS[k.partition('.')[0]]}_module.{k.partition('.')[2]}": v for k, v in tensors.items()}


def write_pth(tensors: Mapping[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, path)


def write_safe(tensors: Mapping[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, path)


def official(face: FaceModel, root: Path, base: str = "liveportrait/base_models") -> Path:
    """``root`` as the official repository lies on disk: returns the folder of the base models."""
    for name, tensors in parts_of(face).items():
        if name == STITCHING:
            write_pth(nested(tensors), root / "liveportrait/retargeting_models" / f"{name}.pth")
        else:
            write_pth(tensors, root / base / f"{name}.pth")
    return root / base


def kijai(face: FaceModel, folder: Path) -> Path:
    for name, tensors in parts_of(face).items():
        write_safe(flattened(tensors) if name == STITCHING else tensors, folder / f"{name}.safetensors")
    return folder


def miniature_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder below ``folder`` with a miniature of LivePortrait's files; nobody else's are looked for."""
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
    torch.manual_seed(4)
    kijai(FaceModel(FaceConfig.tiny()), folder / "models" / "liveportrait")
    return folder / "models"
