"""The emotion layer: slider settings for each emotion, added to the motion of any generator after sampling.

It is not learned, so it also works for generators without emotion control. The offset is linear in intensity, leaves
the pose bit-identical, keeps the lip opening of the speech (lip lock) and fades out on a closing eye, so that blinks
still close.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..values import EMOTIONS, LIDS, EmotionCurve, Motion, expect, expect_same_rate
from ..weights.folders import bundled
from .directions import POSE_SLIDERS, SLIDERS, Directions, Y, directions, displaced, slider_values

#: The bundled table, which users can copy and edit.
TABLE = "emotion_layer.json"
_KIND, _VERSION, _LARGEST = "emotion layer", 1, 1_000_000
#: Bound for values in a table: beyond any slider, and safely representable as float.
_NO_SLIDER = 1e6
#: Quantile of the clip's lid distances that counts as an open eye.
_OPEN_QUANTILE = 0.8
#: Closure at which the layer's effect on an eye reaches zero, linearly from the open eye. The linear fade ensures that
#: lids close monotonically in a blink, for emotions that narrow the eye by up to this share.
_SHUT = 0.9


@dataclass(frozen=True)
class EmotionTable:
    """Slider values of each emotion at intensity 1: ``values`` (E, S) over ``names`` and SLIDERS."""

    names: tuple[str, ...]
    values: Tensor

    def __post_init__(self) -> None:
        expect("EmotionTable.values", self.values, len(self.names), len(SLIDERS))

    @staticmethod
    def of(settings: Mapping[str, Mapping[str, float]]) -> EmotionTable:
        """From slider settings by emotion. Raises UserError for unknown names or numbers out of range."""
        for emotion, sliders in settings.items():
            if emotion not in EMOTIONS:
                raise UserError(f"The emotion table names {emotion!r}; please choose from {', '.join(EMOTIONS)}.")
            if turned := [name for name in sliders if name in POSE_SLIDERS]:
                raise UserError(
                    f"The emotion table sets {turned[0]!r} for {emotion}, but the layer leaves the head pose alone;"
                    " please remove it."
                )
        if missing := [emotion for emotion in EMOTIONS if emotion not in settings]:
            raise UserError(f"The emotion table says nothing of {missing[0]!r}; please add it, empty for no change.")
        return EmotionTable(tuple(settings), torch.stack([slider_values(sliders) for sliders in settings.values()]))

    @staticmethod
    def read(path: Path | None = None) -> EmotionTable:
        """Read a table from JSON; None is the bundled one. Raises UserError for a file that is no such table."""
        path = path or bundled(TABLE)
        return EmotionTable.of(_settings(path))


@dataclass(frozen=True)
class LayerOptions:
    """``strength`` multiplies the intensity (0..2); ``lip_lock`` is the share of lip opening that is removed."""

    strength: float = 1.0
    lip_lock: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.strength <= 2.0:
            raise UserError(
                f"The strength of the emotion layer is {self.strength:g}; please give a number from 0 to 2."
            )
        if not 0.0 <= self.lip_lock <= 1.0:
            raise UserError(f"The lip lock is {self.lip_lock:g}; please give a number from 0 (off) to 1 (full).")


def add_emotion(
    motion: Motion,
    curve: EmotionCurve | None,
    table: EmotionTable | None = None,
    options: LayerOptions | None = None,
) -> Motion:
    """``motion`` with the emotion of ``curve`` (one row per frame; None is no emotion) added to its expression.

    ``table`` None is the bundled one. Where nothing is added, such as at intensity 0, values are bit-identical. Raises
    UserError for a curve of another length, one that is not finite, an emotion missing in the table, or a keypoint
    space without directions.
    """
    if curve is None:
        return motion
    layer = EmotionLayer(table or EmotionTable.read(), options or LayerOptions(), directions(motion.keypoint_space))
    return layer.added(motion, curve, open_lids(motion))


def add_emotion_to_pieces(
    pieces: Iterable[Motion],
    curve: EmotionCurve | None,
    table: EmotionTable | None = None,
    options: LayerOptions | None = None,
) -> Iterator[Motion]:
    """:func:`add_emotion` for the pieces of one motion, in constant memory.

    The open lid distance is measured on the first piece and used for all, so that seams do not show. Raises UserError
    as :func:`add_emotion` does, for the length once a piece exceeds the curve.
    """
    if curve is None:
        yield from pieces
        return
    table, options = table or EmotionTable.read(), options or LayerOptions()
    lids: Tensor | None = None
    start = 0
    for piece in pieces:
        lids = open_lids(piece) if lids is None else lids
        part = slice(start, start + len(piece))
        start += len(piece)
        here = replace(curve, weights=curve.weights[part], intensity=curve.intensity[part])
        yield EmotionLayer(table, options, directions(piece.keypoint_space)).added(piece, here, lids)


@dataclass(frozen=True)
class EmotionLayer:
    """An emotion table applied in one keypoint space."""

    table: EmotionTable
    options: LayerOptions
    ways: Directions

    @property
    def reach(self) -> Tensor:
        """The offset of each emotion at intensity 1 for open eyes, (E, K, 3) float64."""
        return self.ways.lip_locked(self.ways.offset(self.table.values), self.options.lip_lock)

    def added(self, motion: Motion, curve: EmotionCurve, lids: Tensor) -> Motion:
        """``motion`` with the emotion of ``curve``; ``lids`` (2,) as :func:`open_lids`."""
        amount = self.options.strength * _amount(curve, self.table, motion)  # (T, E)
        offset = torch.einsum("te,ekc->tkc", amount, self.reach) * self.eyes_open(motion, lids)
        return replace(motion, expression=displaced(motion.expression, offset))

    def eyes_open(self, motion: Motion, lids: Tensor) -> Tensor:
        """Weight of the layer for every keypoint, (T, K, 1) in 0..1: 0 on the lids of a closed eye."""
        share = torch.ones(*motion.expression.shape[:2], 1, dtype=torch.float64)
        for eye, points in enumerate(LIDS):
            closure = (lids[eye] - lid_apertures(motion)[:, eye]) / self.ways.lid_travel
            share[:, list(points), 0] = 1.0 - (closure / _SHUT).clamp(0.0, 1.0)[:, None]
        return share


def open_lids(motion: Motion) -> Tensor:
    """Lid distance of either eye when open in ``motion``, (2,) float64, left then right."""
    if not len(motion):
        return torch.zeros(2, dtype=torch.float64)
    return torch.quantile(lid_apertures(motion), _OPEN_QUANTILE, dim=0)


def lid_apertures(motion: Motion) -> Tensor:
    """Lower minus upper lid of either eye, (T, 2) float64."""
    upper, lower = (list(points) for points in zip(*LIDS, strict=True))
    return (motion.expression[:, lower, Y] - motion.expression[:, upper, Y]).double()


def _amount(curve: EmotionCurve, table: EmotionTable, motion: Motion) -> Tensor:
    """Intensity times weight of every emotion of the table, (T, E) float64."""
    if len(curve) != len(motion):
        raise UserError(
            f"The emotion has {len(curve)} frames and the motion {len(motion)}; give one row for each frame."
        )
    expect_same_rate(motion.fps, curve.fps, "The motion and the emotion")
    if not bool(curve.weights.isfinite().all() and curve.intensity.isfinite().all()):
        raise UserError("The emotion holds NaN or infinite numbers; give weights and intensities from 0 to 1.")
    used = [name for column, name in enumerate(curve.names) if bool(curve.weights[:, column].any())]
    if unknown := [name for name in used if name not in table.names]:
        raise UserError(f"The emotion table does not know {unknown[0]!r}; please choose from {', '.join(table.names)}.")
    amount = torch.zeros(len(curve), len(table.names), dtype=torch.float64)
    for name in used:
        amount[:, table.names.index(name)] = (curve.weights[:, curve.names.index(name)] * curve.intensity).double()
    return amount


def _settings(path: Path) -> Mapping[str, Mapping[str, float]]:
    """The slider settings that a table file holds, by emotion."""
    document = _document(path)
    kind, version = document.get("playmate"), document.get("version")
    if kind != _KIND or version != _VERSION:
        raise UserError(
            f"{path} says it is {kind!r} version {version!r}, expected {_KIND!r} version {_VERSION}; please copy"
            f" {bundled(TABLE)} and change the copy."
        )
    emotions: dict[str, dict[str, float]] = document.get("emotions", {})
    if not (isinstance(emotions, dict) and all(isinstance(row, dict) for row in emotions.values())):
        raise UserError(f'{path} must hold "emotions": a name for each, with its sliders, as {bundled(TABLE)} does.')
    for emotion, row in emotions.items():
        for slider, value in row.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _NO_SLIDER:
                shown = str(value)[:40]
                raise UserError(f"{path} sets {slider} of {emotion} to {shown}; please write a number in its range.")
    return emotions


def _document(path: Path) -> dict[str, Any]:
    """The JSON object of a user's file."""
    if not path.is_file():
        raise UserError(f"There is no emotion table {path}; please check the path.")
    if path.stat().st_size > _LARGEST:
        raise UserError(f"{path} is too large for an emotion table; please name the right file.")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_each_once)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {error}; please compare it with {bundled(TABLE)}.") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} is no emotion table; please compare it with {bundled(TABLE)}.")
    return document


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{twice[0]!r} stands there twice; please keep one of them.")
    return dict(pairs)
