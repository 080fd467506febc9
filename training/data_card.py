"""Record of a model's training data: amount, number of speakers, licences. Stored in the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from playmate_core.values import FPS
from playmate_core.weights.files import Description
from training.clip import Clip
from training.data import MANIFEST
from training.synthetic.clips import DESCRIPTION, SyntheticClip

UNSTATED = "unstated"


@dataclass(frozen=True)
class DataCard:
    """``description`` in a few words, ``hours``, ``speakers`` and every licence tag of the clips trained on."""

    description: str = UNSTATED
    hours: float = 0.0
    speakers: int = 0
    license_tags: tuple[str, ...] = (UNSTATED,)

    @property
    def license(self) -> str:
        """What the weights may be used for: as much as every one of the licences of their data allows."""
        return self.license_tags[0] if len(self.license_tags) == 1 else "all of: " + "; ".join(self.license_tags)

    @property
    def data(self) -> str:
        """The line that ``describe`` shows."""
        return f"{self.description}; {self.hours:.2f} hours, {self.speakers} speakers"

    def on_top_of(self, base: Description) -> DataCard:
        """The card of what is trained on a frozen ``base``: its licences bind as well."""
        tags = base.training.get("license_tags") or [base.license or UNSTATED]
        return replace(self, license_tags=tuple(sorted({*self.license_tags, *map(str, tags)})))

    def facts(self) -> dict[str, Any]:
        """The measured part, for a checkpoint's training record."""
        values = asdict(self)
        return {name: values[name] for name in ("hours", "speakers", "license_tags")}


def data_card(root: Path, clips: Iterable[Clip]) -> DataCard:
    """The data card of some clips of a corpus; the corpus states where its clips come from."""
    clips = list(clips)
    return DataCard(
        description=description(Path(root), bool(clips) and all(isinstance(clip, SyntheticClip) for clip in clips)),
        hours=round(sum(len(clip) for clip in clips) / FPS / 3600, 4),
        speakers=len({clip.speaker for clip in clips}),
        license_tags=tuple(sorted({clip.license_tag for clip in clips})) or (UNSTATED,),
    )


def description(root: Path, synthetic: bool) -> str:
    """What a corpus says of itself; ``synthetic`` where all of its clips are ours."""
    try:
        return str(json.loads((root / MANIFEST).read_text())["description"])
    except (OSError, ValueError, KeyError):
        pass
    return DESCRIPTION if synthetic else UNSTATED
