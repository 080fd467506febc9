"""Summary of a prepared corpus: counts by reason, hours kept, and the scores of every clip as one picture."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from playmate_core.atomic_file import write_atomically
from playmate_core.values import FPS

from .corpus import Judged
from .filters import Limits

#: What is drawn: a score, its limit's field, and what it is called.
PANELS = (
    ("seconds", "shortest", "length, s"),
    ("vad", "speech", "share of speech"),
    ("snr", "snr", "speech over noise, dB"),
    ("face_px", "face_px", "face, pixels"),
    ("coverage", "coverage", "frames with the face"),
    ("blur", "blur", "sharpness"),
    ("yaw_p95", "yaw", "yaw, 95 %, degrees"),
    ("sync_off", "offset", "sound late, frames"),
    ("sync_e", "sync_envelope", "sync confidence"),
    ("sync_c", "sync_syncnet", "SyncNet confidence"),
    ("z", "z", "farthest value, deviations"),
    ("jump", "jump", "longest step, deviations"),
)
COLOURS = {"kept": "#3b7dd8", "rejected": "#c9c9c9"}


@dataclass(frozen=True)
class Summary:
    """Counts of clips by reason and split; hours, speakers and licence tags of the kept ones; who judged the sync."""

    clips: int
    kept: int
    hours: float
    speakers: int
    by_reason: dict[str, int]
    by_split: dict[str, int]
    by_emotion: dict[str, int]
    license_tags: tuple[str, ...]
    sync_by: tuple[str, ...]
    flags: dict[str, int]

    def __str__(self) -> str:
        lines = [
            f"{self.kept} of {self.clips} clips kept: {self.hours:.2f} hours of {self.speakers} speakers",
            "  splits: " + ", ".join(f"{name} {count}" for name, count in self.by_split.items()),
        ]
        if self.by_emotion:
            lines.append("  emotions: " + ", ".join(f"{name} {count}" for name, count in self.by_emotion.items()))
        lines += [f"  rejected {count:5d}  {reason}" for reason, count in self.by_reason.items()]
        lines += [f"  flagged  {count:5d}  {flag}" for flag, count in self.flags.items()]
        lines += [f"  sync by {name}" for name in self.sync_by]
        return "\n".join([*lines, "  licences: " + "; ".join(self.license_tags or ("none",))]) + "\n"


def summarise(clips: Sequence[Judged]) -> Summary:
    """The summary of a corpus."""
    kept = [clip for clip in clips if clip.kept]
    return Summary(
        clips=len(clips),
        kept=len(kept),
        hours=round(sum(clip.item.frames for clip in kept) / FPS / 3600, 4),
        speakers=len({clip.item.entry.speaker for clip in kept}),
        by_reason=_counted(clip.item.reason for clip in clips if not clip.kept),
        by_split=_counted(clip.split for clip in kept),
        by_emotion=_counted(clip.emotion for clip in kept if clip.emotion),
        license_tags=tuple(sorted({clip.item.entry.license_tag for clip in kept})),
        sync_by=tuple(sorted({str(clip.item.facts["sync_by"]) for clip in kept})),
        flags=_counted(flag for clip in kept for flag in clip.flags),
    )


def _counted(names: object) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0])))  # type: ignore[call-overload]


def write_summary(out: Path, clips: Sequence[Judged], limits: Limits) -> Summary:
    """Write ``summary.json`` and ``summary.png`` -> the summary."""
    summary = summarise(clips)
    write_atomically(out / "summary.json", json.dumps(asdict(summary), indent=1).encode())
    write_atomically(out / "summary.png", histograms(clips, limits))
    return summary


def histograms(clips: Sequence[Judged], limits: Limits) -> bytes:
    """Every score's histogram, kept clips on rejected ones, the limit as a line: a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    figure, axes = pyplot.subplots(3, 4, figsize=(14, 8), layout="constrained")
    for axis, (score, limit, title) in zip(axes.flat, PANELS, strict=True):
        groups = [
            [clip.item.scores[score] for clip in clips if score in clip.item.scores and clip.kept == kept]
            for kept in (True, False)
        ]
        at = float(getattr(limits, limit))
        if any(groups):
            low, high = min(at, *map(min, filter(None, groups))), max(at, *map(max, filter(None, groups)))
            edges = np.linspace(low, high if high > low else low + 1.0, 31)
            axis.hist(groups, bins=edges, stacked=True, color=list(COLOURS.values()))
            axis.axvline(at, color="#d8433b", linewidth=1)
        else:
            axis.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axis.transAxes, fontsize=9)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
    patches = [Patch(color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=patches, loc="outside upper right", ncols=2, fontsize=8)
    blob = io.BytesIO()
    figure.savefig(blob, format="png", dpi=80, metadata={"Software": ""})
    pyplot.close(figure)
    return blob.getvalue()
