"""Choose what produces an emotion: the generator's own emotion control, the emotion layer, or both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from enum import Enum

from ..errors import UserError
from ..values import EmotionCurve, Motion
from .expression_layer import EmotionTable, LayerOptions, add_emotion_to_pieces

#: Samples a motion, piece by piece, with an emotion curve or without.
Sampler = Callable[[EmotionCurve | None], Iterable[Motion]]


class EmotionBy(str, Enum):
    """``model``: the generator's own emotion control. ``layer``: the emotion layer alone. ``both``: the generator's
    own, plus the layer at BOTH_STRENGTH."""

    MODEL = "model"
    LAYER = "layer"
    BOTH = "both"


log = logging.getLogger(__name__)
DEFAULT = EmotionBy.BOTH
#: Strength of the layer in ``both``: two full emotions add up to a caricature, e.g. half-closed lids shut.
BOTH_STRENGTH = 0.5


def sample_with_emotion(
    sample: Sampler,
    curve: EmotionCurve | None,
    by: EmotionBy | str = DEFAULT,
    *,
    has_own: bool,
    table: EmotionTable | None = None,
    options: LayerOptions | None = None,
) -> Iterator[Motion]:
    """The pieces of motion that ``sample`` yields, with the emotion of ``curve`` produced as ``by`` says.

    ``has_own``: the generator has emotion control; without it, ``both`` is the layer alone. ``table`` and ``options``
    as in :func:`add_emotion`. Raises UserError, before sampling, for MODEL with a generator without emotion control.
    """
    own, layered = split_emotion(curve, by, has_own)
    options = options or LayerOptions()
    if own is not None and layered is not None:
        options = replace(options, strength=BOTH_STRENGTH * options.strength)
    if layered is not None and table is None:
        table = EmotionTable.read()
    return add_emotion_to_pieces(sample(own), layered, table, options)


def split_emotion(
    curve: EmotionCurve | None, by: EmotionBy | str, has_own: bool
) -> tuple[EmotionCurve | None, EmotionCurve | None]:
    """The curve for the generator and the curve for the emotion layer; None where unused.

    Raises UserError for an unknown choice, or for MODEL where the generator has no emotion control and the curve has an
    emotion other than neutral with intensity above 0.
    """
    choices = [choice.value for choice in EmotionBy]
    if by not in choices:
        raise UserError(f"Unknown choice {by!r} of who shows the emotion; please choose one of {', '.join(choices)}.")
    if curve is None:
        return None, None
    by = EmotionBy(by)
    require_own_emotion(curve, by, has_own)
    if by is EmotionBy.BOTH and not has_own and shows(curve):
        log.warning("The motion model has no emotion of its own for this face; the expression layer alone shows it.")
    own = curve if has_own and by is not EmotionBy.LAYER else None
    return own, curve if by is not EmotionBy.MODEL else None


def require_own_emotion(curve: EmotionCurve | None, by: EmotionBy | str, has_own: bool) -> None:
    """Raise UserError where ``by`` leaves an emotion to a generator that has none."""
    if curve is not None and by == EmotionBy.MODEL and not has_own and shows(curve):
        raise UserError(
            "This motion generator has no emotion of its own; please let the emotion layer show it (layer), or set the"
            " emotion to none."
        )


def shows(curve: EmotionCurve) -> bool:
    """Whether any frame of ``curve`` has an emotion other than neutral with intensity above 0."""
    emotional = [column for column, name in enumerate(curve.names) if name != "neutral"]
    return bool((curve.weights[:, emotional] * curve.intensity[:, None]).any())
