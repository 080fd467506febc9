"""Emotions from what is at hand anyway: tags in subtitles or lyrics, and the loudness of the voice."""

from __future__ import annotations

import re
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import UserError, elided
from ..values import FPS
from .emotion_schedule import EmotionKey, EmotionSchedule, read_emotion_schedule
from .options import GuidanceKeys

#: A start in SubRip or WebVTT, "00:00:01,500 --> ...", and one in LRC, "[00:01.50]".
_CUE = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[,.](\d{1,3})\s*-->")
_LYRIC = re.compile(r"\[(?:(\d+):)?(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?\]")
_TAG = re.compile(r"\[([A-Za-z][A-Za-z+]*(?:@[0-9.]+)?)\]")
#: Seconds over which loudness is averaged: an emotion does not follow syllables.
_AVERAGED = 0.6


def read_cues(text: str, intensity: float) -> EmotionSchedule:
    """Emotions tagged as [happy], [happy@0.8] or [happy+surprised] in SubRip, WebVTT or LRC text.

    A tag holds from the start of its cue to the next tag; before the first the face is neutral. Raises UserError for
    text without cues or without tags, for an unknown emotion, and for two tags at one time.
    """
    keys: list[EmotionKey] = []
    now: float | None = None
    for line in text.splitlines():
        found = _CUE.search(line)
        lyric = None if found else _LYRIC.search(line)
        if found or lyric:
            now = _seconds(found or lyric)
        for tag in _TAG.findall(line):
            if now is None:
                raise UserError(
                    f"The tag [{elided(tag)}] stands before any time; please give SubRip, WebVTT or LRC text."
                )
            keys.append(replace(read_emotion_schedule(tag, intensity)[0], seconds=now))
    if not keys:
        raise UserError(
            f"There is no emotion tag in {elided(repr(text.strip()))}; please write one such as [happy] or [sad@0.6]"
            " into a line of SubRip, WebVTT or LRC text."
        )
    if any(not later.seconds > earlier.seconds for earlier, later in zip(keys, keys[1:], strict=False)):
        raise UserError("Two emotion tags stand at one time, or go back in time; please give each line one tag.")
    if keys[0].seconds > 0:
        keys.insert(0, EmotionKey(0.0, "neutral", intensity))
    return EmotionSchedule(((1.0, tuple(keys)),))


def by_loudness(
    schedule: EmotionSchedule, energy: Tensor, low: float, high: float, fps: float = FPS
) -> EmotionSchedule:
    """``schedule`` whose intensity is ``low`` times as strong where the voice is quiet and ``high`` times where loud.

    ``energy`` (T,) in 0..1 is its loudness; the loudest twentieth counts as loud.
    """
    width = max(1, round(_AVERAGED * fps)) | 1
    padded = torch.nn.functional.pad(energy.double()[None, None], (width // 2, width // 2), mode="replicate")
    loud = torch.nn.functional.avg_pool1d(padded, width, 1)[0, 0]
    loud = (loud / torch.quantile(loud, 0.95).clamp(min=1e-6)).clamp(0.0, 1.0)
    values = low + (high - low) * loud
    return schedule.shaped(GuidanceKeys(tuple((frame / fps, value) for frame, value in enumerate(values.tolist()))))


def _seconds(found: re.Match[str] | None) -> float:
    assert found is not None
    hours, minutes, seconds, part = found.groups()
    return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + int(seconds) + float(f"0.{part or 0}")
