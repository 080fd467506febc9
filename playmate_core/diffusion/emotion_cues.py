"""Emotions from what is at hand anyway: tags in subtitles or lyrics, and the loudness of the voice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import UserError, elided
from ..values import FPS
from .emotion_schedule import EmotionKey, EmotionSchedule, read_emotion_schedule
from .options import GuidanceKeys

#: A start in SubRip or WebVTT, "00:00:01,500 --> ...", and one in LRC, "[00:01.50]", whose header may move all of them
#: to earlier times by milliseconds, "[offset:500]".
_CUE = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[,.](\d{1,3})\s*-->")
_LYRIC = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2})(?:[.:](\d{1,3}))?")
_OFFSET = re.compile(r"\[offset:\s*([+-]?\d{1,7})\s*\]", re.IGNORECASE)
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
#: What is meant as a tag: a single word, or several joined with +, or anything with an @. "[door slams]" is text.
_MEANT = re.compile(r"[A-Za-z]+|[A-Za-z][A-Za-z ]*[+@].*")
_TAG = re.compile(r"[A-Za-z]+(?:\+[A-Za-z]+)*(?:@[0-9.]+)?")
#: Seconds over which loudness is averaged: an emotion does not follow syllables.
_AVERAGED = 0.6


def read_cues(text: str, intensity: float) -> EmotionSchedule:
    """Emotions tagged as [happy], [happy@0.8] or [happy+surprised] in SubRip, WebVTT or LRC text.

    A tag holds from the start of its cue, in LRC from each of the times before it, to the next tag; before the first
    the face is neutral. Raises UserError for text without cues or without tags, for an unknown emotion or a tag that is
    written otherwise, and for two tags at one time.
    """
    found = [(at, tag) for tag, times in _tagged(text) for at in times]
    keys = [replace(read_emotion_schedule(tag, intensity)[0], seconds=at) for at, tag in found]
    if not keys:
        raise UserError(
            f"There is no emotion tag in {elided(repr(text.strip()))}; please write one such as [happy] or [sad@0.6]"
            " into a line of SubRip, WebVTT or LRC text."
        )
    keys.sort(key=lambda key: key.seconds)  # lyrics may stand in any order
    for earlier, later in pairwise(keys):
        if earlier.seconds == later.seconds:
            raise UserError(f"Two emotion tags stand at {later.seconds:g} s; please give each line one tag.")
    if keys[0].seconds > 0:
        keys.insert(0, EmotionKey(0.0, "neutral", intensity))
    return EmotionSchedule(((1.0, tuple(keys)),))


def _tagged(text: str) -> Iterator[tuple[str, list[float]]]:
    """Every tag and the times from which it holds."""
    offset = _OFFSET.search(text)
    earlier = int(offset[1]) / 1000 if offset else 0.0
    times = list[float]()
    for line in text.splitlines():
        if cue := _CUE.search(line):
            times = [_seconds(cue)]
        end = -1  # of the time just read
        for bracket in _BRACKETS.finditer(line):
            words = bracket[1].strip()
            if lyric := _LYRIC.fullmatch(words):
                together = end >= 0 and not line[end : bracket.start()].strip()
                times = [*(times if together else []), max(0.0, _seconds(lyric) - earlier)]
                end = bracket.end()
            elif _MEANT.fullmatch(words):
                if not times:
                    raise UserError(
                        f"The tag [{elided(words)}] stands before any time; please give SubRip, WebVTT or LRC text."
                    )
                yield _tag(words), times


def _tag(words: str) -> str:
    """A tag without spaces. Raises UserError for one that is written otherwise."""
    tag = words.replace(" ", "")
    if not _TAG.fullmatch(tag):
        raise UserError(
            f"The tag [{elided(words)}] is not understood; please write [happy], [sad@0.6], [happy+surprised] or"
            " [happy+surprised@0.6]."
        )
    return tag


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


def _seconds(found: re.Match[str]) -> float:
    hours, minutes, seconds, part = found.groups()
    return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + int(seconds) + float(f"0.{part or 0}")
