"""The interface of motion generators, and the request they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
from torch import Tensor, nn

from ..speech import AudioEncoder
from ..values import AudioFeatures, EmotionCurve, Motion, PortraitDetails, Pose
from .model_controls import ModelControls, require_controls
from .options import SamplingOptions
from .windows import counted

if TYPE_CHECKING:
    from typing_extensions import Self


#: Motions that are sampled as one batch at most. More of them gain little and take more memory.
MOST_TOGETHER = 16


@dataclass(frozen=True)
class GenerationRequest:
    """One clip to be generated.

    ``portrait_keypoints`` (K, 3) canonical and ``rest``, one frame, are the portrait. ``audio`` are the features of the
    encoder that the generator was trained on. Without an ``emotion``, or with weights that are all zero, the emotion is
    not controlled. ``options`` None are the generator's own defaults. ``previous`` is a motion to continue (its audio
    is assumed to be silent). ``details`` are used by generators that are conditioned on them.
    """

    portrait_keypoints: Tensor
    rest: Motion
    audio: AudioFeatures
    emotion: EmotionCurve | None = None
    options: SamplingOptions | None = None
    previous: Motion | None = None
    details: PortraitDetails | None = None


class MotionGenerator(Protocol):
    """A model that generates motion from speech and a portrait.

    ``keypoint_space`` is the keypoint space of its motion. ``defaults`` are the sampling options it was published
    with, ``emotions`` the names it supports (empty: no emotion control). ``modules`` are its networks, to be moved to a
    device by the caller; a generator computes on their device.
    """

    @property
    def name(self) -> str:
        """The generator's name, e.g. ``playmate``."""
        ...

    @property
    def keypoint_space(self) -> str:
        """The keypoint space of the generated motion."""
        ...

    @property
    def defaults(self) -> SamplingOptions:
        """The sampling options it was published with."""
        ...

    @property
    def emotions(self) -> tuple[str, ...]:
        """The supported emotions; empty: no emotion control."""
        ...

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The networks, which the caller moves to a device."""
        ...

    @property
    def sampling_is_published(self) -> bool:
        """Whether ``defaults`` are those of its authors' program and not this project's own choice."""
        ...

    @property
    def encodes_live(self) -> bool:
        """Whether its audio encoder reads speech while it is spoken, not whole recordings."""
        ...

    def encoder(self, source: str | Path | None = None, device: str | torch.device = "cpu") -> AudioEncoder:
        """The audio encoder of this generator; ``source`` is a folder or file with the encoder's weights."""
        ...

    def iterate(
        self, request: GenerationRequest, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Motion]:
        """The motion piece by piece, in constant memory, one frame for each frame of audio.

        Everything is checked, and UserError raised, before it returns. ``progress(step, total)`` counts network
        evaluations and may raise to cancel. The same seed gives the same motion.
        """
        ...

    def generate(self, request: GenerationRequest, progress: Callable[[int, int], None] | None = None) -> Motion:
        """All pieces of :meth:`iterate` as one motion."""
        ...

    def iterate_together(
        self, requests: Sequence[GenerationRequest], progress: Callable[[int, int], None] | None = None
    ) -> list[list[Motion]]:
        """The pieces of :meth:`iterate` of several requests, whose options may differ in their seed alone.

        A generator that samples them as one batch returns each motion as it is alone, but for rounding.
        """
        ...

    def controlled(self, controls: ModelControls) -> Self:
        """The same generator, run as ``controls`` say. Raises UserError for one that it does not have."""
        ...


class BaseGenerator:
    """What a :class:`MotionGenerator` answers unless it says otherwise; the protocol describes its members.

    ``control_names`` are those of ModelControls that it has.
    """

    name: ClassVar[str]
    control_names: ClassVar[tuple[str, ...]] = ()
    sampling_is_published: ClassVar[bool] = True

    @property
    def encodes_live(self) -> bool:
        """See :attr:`MotionGenerator.encodes_live`."""
        return False

    def iterate(
        self, request: GenerationRequest, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Motion]:
        raise NotImplementedError

    def generate(self, request: GenerationRequest, progress: Callable[[int, int], None] | None = None) -> Motion:
        return joined(list(self.iterate(request, progress)))

    def iterate_together(
        self, requests: Sequence[GenerationRequest], progress: Callable[[int, int], None] | None = None
    ) -> list[list[Motion]]:
        if not _same_speech(requests):
            steps = [counted(progress, number, len(requests)) for number in range(len(requests))]
            return [list(self.iterate(request, step)) for request, step in zip(requests, steps, strict=True)]
        for request in requests:
            self._check(request)
        groups = [requests[begin : begin + MOST_TOGETHER] for begin in range(0, len(requests), MOST_TOGETHER)]
        found = [self._batch(group, counted(progress, number, len(groups))) for number, group in enumerate(groups)]
        return [pieces for group in found for pieces in group]

    def _check(self, request: GenerationRequest) -> None:
        """Raise UserError for what cannot be sampled."""
        raise NotImplementedError

    def _batch(
        self, requests: Sequence[GenerationRequest], progress: Callable[[int, int], None] | None
    ) -> list[list[Motion]]:
        """The pieces of requests of speech of one length, checked and at most MOST_TOGETHER, sampled as one batch."""
        raise NotImplementedError

    def controlled(self, controls: ModelControls) -> Self:
        require_controls(self.name, controls, self.control_names)
        return self._with_controls(controls) if controls.chosen else self

    def _with_controls(self, controls: ModelControls) -> Self:
        """A copy of a generator that has them, with those that are chosen."""
        raise NotImplementedError


def _same_speech(requests: Sequence[GenerationRequest]) -> bool:
    """Whether the requests have windows of the same frames, as one batch needs."""
    shapes = {
        tuple(None if rows is None else len(rows) for rows in (one.audio.before, one.audio.features, one.audio.after))
        for one in requests
    }
    return len(shapes) == 1


def joined(pieces: Sequence[Motion]) -> Motion:
    """Motions of one rate and keypoint space, such as the pieces of :meth:`MotionGenerator.iterate`, as one."""
    rotation, translation, scale = (
        torch.cat([getattr(m.pose, part) for m in pieces]) for part in ("rotation", "translation", "scale")
    )
    pose = Pose(rotation, translation, scale, pieces[0].fps)
    return Motion(pose, torch.cat([m.expression for m in pieces]), pieces[0].keypoint_space, pieces[0].origin)
