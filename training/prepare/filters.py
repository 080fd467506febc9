"""Which clips are kept: every raw score is stored, so other limits need no other reading (docs/method.md 2.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The filters. Seconds, shares, pixels and degrees; ``z`` and ``jump`` in deviations of the corpus.

    ``coverage`` least share of frames with the face, ``gap`` most frames in a row without it, ``others`` most share of
    frames with a second face (where none is annotated), ``face_low`` and ``face_high`` the face's share of
    the crop's side, ``blur`` least variance of the Laplacian (videos softened by 3 pixels of 256 measure 21 to 45, by
    5 pixels 11 to 13), ``frozen`` most seconds without any change.
    ``sync_syncnet`` and ``sync_envelope`` least confidence, by whom measured; ``offset`` most frames to repair.
    """

    shortest: float = 3.0
    longest: float = 30.0
    coverage: float = 0.95
    gap: int = 5
    others: float = 0.05
    face_px: float = 160.0
    face_low: float = 0.4
    face_high: float = 0.8
    yaw: float = 60.0
    pitch: float = 40.0
    turn: float = 150.0
    blur: float = 15.0
    frozen: float = 0.5
    speech: float = 0.4
    snr: float = 0.0
    sync_syncnet: float = 3.0
    sync_envelope: float = 0.25
    offset: float = 6.0
    z: float = 12.0
    jump: float = 6.0


#: A clip whose loudest sample is below this is silent (-60 dB).
SILENT = 1e-3

Test = Callable[[Mapping[str, float], Limits], bool]


def _under(score: str, limit: str) -> Test:
    return lambda scores, limits: score in scores and scores[score] < getattr(limits, limit)


def _over(score: str, limit: str) -> Test:
    return lambda scores, limits: score in scores and scores[score] > getattr(limits, limit)


#: Reasons in the order in which they are asked, each with what speaks for it. NaN (not measured) passes.
TESTS: tuple[tuple[str, Test], ...] = (
    ("short", _under("seconds", "shortest")),
    ("silent", lambda scores, limits: scores.get("peak", 1.0) < SILENT),
    ("little_speech", _under("vad", "speech")),
    ("noisy", _under("snr", "snr")),
    ("several_faces", _over("others", "others")),
    ("face_lost", lambda s, l: s.get("coverage", 1.0) < l.coverage or s.get("gap", 0.0) > l.gap),  # noqa: E741
    ("small_face", _under("face_px", "face_px")),
    ("face_share", lambda s, l: not l.face_low <= s.get("face_share", math.nan) <= l.face_high and "face_share" in s),  # noqa: E741
    ("frozen", _over("frozen", "frozen")),
    ("blurred", _under("blur", "blur")),
    ("turned_away", lambda s, l: s.get("yaw_max", 0.0) > l.yaw or s.get("pitch_max", 0.0) > l.pitch),  # noqa: E741
    ("fast_turn", _over("turn_p95", "turn")),
    ("out_of_sync", lambda s, l: abs(s.get("sync_off", 0.0)) > l.offset),  # noqa: E741
    ("no_sync", _under("sync_c", "sync_syncnet")),
    ("no_sync", _under("sync_e", "sync_envelope")),
    ("unstable_motion", lambda s, l: s.get("z", 0.0) > l.z or s.get("jump", 0.0) > l.jump),  # noqa: E741
)


def reason_against(scores: Mapping[str, float], limits: Limits) -> str:
    """Why a clip of these scores is not kept; "" where it is. Scores that are not there (yet) speak for nothing."""
    return next((reason for reason, test in TESTS if test(scores, limits)), "")
