"""Lip-sync metrics as rows of the table; left out where they do not detect wrong sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from training.evaluate.videos.alignment import NotAligned, Spoken, align
from training.evaluate.videos.checkpoints import Skipped, require_package
from training.evaluate.videos.clips import SYSTEMS, ClipVideos
from training.evaluate.videos.cropped_video import CroppedVideo
from training.evaluate.videos.figures import Figure, Measure
from training.evaluate.videos.lip_sync import TimeSeries, closed_below, compare_lips, lip_opening, lip_score
from training.evaluate.videos.lip_validation import Heard, validate

_JUDGE = "forced alignment by pocketsphinx (English), lips by MediaPipe's landmarks"
#: The figures and the fields of LipScore they are.
FIGURES = {
    "closure": Figure("lips: closed on m, b, p, less on vowels", "higher", _JUDGE),
    "auc": Figure("lips: AUC of opening, vowels over m, b, p", "higher", _JUDGE),
    "correlation": Figure("lips: correlation of opening with phones", "higher", _JUDGE),
    "lag": Figure("lips: lag in frames, late is positive", "", _JUDGE),
    "in_time": Figure("lips: clips with a lag of at most one frame", "higher", _JUDGE),
    "silence": Figure("lips: opening in silence over that on vowels", "lower", _JUDGE),
}


def lips() -> Measure:
    """All lip-sync metrics."""
    return Measure(tuple(FIGURES.values()), lip_figures)


def lip_figures(clips: Sequence[ClipVideos]) -> list[Figure]:
    """Score all videos with the phones of their own sound. Raises Skipped where that is impossible or not believed."""
    require_package("pocketsphinx")
    if any(video.landmarks is None for clip in clips for video in clip.videos.values()):
        raise Skipped("detection/face_landmarker.task, to find lips with")
    spoken: dict[str, dict[str, Spoken]] = {}
    left_out: dict[str, str] = {}
    for clip in clips:
        try:
            spoken[clip.name] = _phones(clip)
        except NotAligned as reason:
            left_out[clip.name] = str(reason)
    used = [clip for clip in clips if clip.name in spoken]
    if not used:
        raise Skipped(f"speech: {next(iter(left_out.values()))}")
    openings = {clip.name: {name: _opening(clip.videos[name]) for name in SYSTEMS} for clip in used}
    true = "ground truth"
    checked = validate(
        [Heard(openings[c.name][true], c.videos[true].samples(), c.label.text, spoken[c.name][true]) for c in used]
    )
    if checked.fault:
        raise Skipped(f"not quoted, because on the real videos {checked.fault}")
    scores = {}
    for system in SYSTEMS:
        found = [
            compare_lips(openings[c.name][system], spoken[c.name][system].phones, closed_below(openings[c.name][true]))
            for c in used
        ]
        scores[system] = lip_score(found)
    recognised = sum(one[true].recognised for one in spoken.values())
    note = f"{len(used)} of {len(clips)} clips, words {'recognised' if recognised == len(used) else 'given'}"
    note += f" ({recognised} recognised)" if 0 < recognised < len(used) else ""
    details = {"left out": left_out, "check on wrong sound": dict(checked.figures())}
    return [
        replace(one, values={s: asdict(scores[s])[key] for s in SYSTEMS}, note=note, details=details)
        for key, one in FIGURES.items()
    ]


def _phones(clip: ClipVideos) -> dict[str, Spoken]:
    """The phones of every video's sound, each file aligned once."""
    found: dict[object, Spoken] = {}
    for video in clip.videos.values():
        if video.sound not in found:
            found[video.sound] = align(video.samples(), clip.label.text)
    return {name: found[video.sound] for name, video in clip.videos.items()}


def _opening(video: CroppedVideo) -> TimeSeries:
    if video.landmarks is None:
        raise ValueError("Nobody looked for the lips of this video.")
    return lip_opening(video.landmarks)
