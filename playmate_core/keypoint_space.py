"""Keypoint spaces: what the 21 keypoints of a face model mean, and what happens when two values have different ones.

Expressions are offsets from canonical keypoints that a motion extractor was trained to find, so they mean nothing to
a face model with other keypoints. Poses are angles, translation and scale and mean the same everywhere. A space is a
name stored in face models, portraits, motion models, motions and motion files; "" stands for unknown.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import torch

from .errors import UserError
from .values import Motion

#: LivePortrait's public networks, and every model trained on their outputs.
LIVEPORTRAIT = "liveportrait"
#: The networks of this repository's procedural corpus.
PLAYMATE_DEMO = "playmate-demo"
UNKNOWN = ""
log = logging.getLogger(__name__)


def same_keypoints(motion: str, face: str) -> bool:
    """Whether expressions of space ``motion`` mean the same in space ``face``; warns where they do not.

    An unknown space is assumed to match.
    """
    if motion == face or UNKNOWN in (motion, face):
        return True
    log.warning(
        "The motion is made for %s keypoints and the face model has %s keypoints: the head moves, the face keeps the"
        " portrait's expression; choose a motion model or motion file for %s keypoints.",
        *(motion, face, face),
    )
    return False


def require_keypoints(model: str, space: str, face: str) -> None:
    """Raise UserError where a motion model of ``space`` cannot drive faces of space ``face``; unknown ones pass."""
    if space != face and UNKNOWN not in (space, face):
        raise UserError(
            f"{model}'s model moves {space} keypoints, and this portrait was read by a face model with {face}"
            " keypoints; read it with LivePortrait's face weights."
        )


def keep_expression(motion: Motion, rest: Motion) -> Motion:
    """The pose of ``motion`` with the expression of ``rest``, frame by frame; its last frame is held."""
    frames = torch.arange(len(motion)).clamp(max=len(rest) - 1)
    return replace(motion, expression=rest.expression[frames], keypoint_space=rest.keypoint_space)


def adapt_motion(motion: Motion, rest: Motion) -> Motion:
    """``motion`` for a portrait with the motion ``rest``: unchanged, or its pose alone with a warning if the keypoint
    spaces differ."""
    if not same_keypoints(motion.keypoint_space, rest.keypoint_space):
        return keep_expression(motion, rest)
    space = rest.keypoint_space or motion.keypoint_space
    return motion if motion.keypoint_space == space else replace(motion, keypoint_space=space)


class MotionAdapter:
    """:func:`adapt_motion` for the parts of one motion: that its keypoints differ is said once, not for every part."""

    def __init__(self, rest: Motion) -> None:
        self._rest = rest
        self._same: bool | None = None

    def __call__(self, part: Motion) -> Motion:
        if self._same is None:
            self._same = same_keypoints(part.keypoint_space, self._rest.keypoint_space)
        return adapt_motion(part, self._rest) if self._same else keep_expression(part, self._rest)
