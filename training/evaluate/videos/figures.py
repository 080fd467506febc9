"""One row of the table: a figure for the generated videos, the real ones and the still portrait, and who judged."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from training.evaluate.videos.checkpoints import Skipped
from training.evaluate.videos.clips import SYSTEMS, ClipVideos

logger = logging.getLogger(__name__)

#: What is measured without a number, in place of one.
UNDEFINED = float("nan")


@dataclass(frozen=True)
class Figure:
    """``values`` by system, NaN where undefined; ``judge`` names the network and its file; ``skipped`` is what was
    missing, "" where it was measured; ``details`` goes into the JSON only."""

    name: str
    better: str  # "lower", "higher" or ""
    judge: str
    values: Mapping[str, float] = field(default_factory=dict)
    skipped: str = ""
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A judge and the figures it gives. ``run`` answers with one figure for each of ``figures``, or raises Skipped."""

    figures: tuple[Figure, ...]
    run: Callable[[Sequence[ClipVideos]], Sequence[Figure]]

    def __call__(self, clips: Sequence[ClipVideos]) -> list[Figure]:
        """Measure, or say of every figure what was missing."""
        names = ", ".join(one.name for one in self.figures)
        try:
            found = list(self.run(clips))
        except Skipped as missing:
            logger.info("%s: skipped, %s", names, missing)
            return [replace(one, skipped=str(missing)) for one in self.figures]
        logger.info("%s: measured", names)
        return found


def by_system(values: Sequence[float]) -> dict[str, float]:
    """Three values under their systems' names."""
    return dict(zip(SYSTEMS, values, strict=True))


def mean(values: Sequence[float]) -> float:
    """The mean of what is defined, NaN where nothing is."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else UNDEFINED


def means(table: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Values by system and clip -> their means by system."""
    return {system: mean(list(clips.values())) for system, clips in table.items()}
