"""A span of a video cut into clips: at its shots, and where one is too long, in the pauses of its speech."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .entry import Item
from .source_video import frames_between, read_voice, small
from .speech import speech_spans
from .store import Result, Store

#: Frames beside a cut that are left out: coders blend there.
_MARGIN = 1
#: Shots shorter than this are flicker.
_SHORTEST_SHOT = 8
#: Seconds a pause has to last for a clip to be cut there.
_PAUSE = 0.2


@dataclass(frozen=True)
class Shots:
    """Cuts by scenedetect's adaptive detector; pieces of ``shortest`` to ``longest`` seconds."""

    root: Path
    shortest: float
    longest: float
    name: str = "shots"
    version: int = 2  # 1 joined sound across missing packets
    gpu: bool = False

    def inputs(self, item: Item) -> list[Any]:
        return [item.digest, item.entry.begin, item.entry.end, self.shortest, self.longest]

    def run(self, item: Item, store: Store) -> list[Result]:
        begin, end = item.entry.begin, item.entry.end or float("inf")
        shots = self._shots(item, begin, end)
        pieces = [piece for shot in shots for piece in self._split(item, *shot)]
        return [Result(begin=first, end=last, scores={"seconds": round(last - first, 6)}) for first, last in pieces]

    def _shots(self, item: Item, begin: float, end: float) -> list[tuple[float, float]]:
        """Seconds of every shot between ``begin`` and ``end``."""
        from scenedetect import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector

        detector, fps = AdaptiveDetector(min_scene_len=_SHORTEST_SHOT), item.facts["fps"]
        times: list[float] = []
        cuts: set[int] = set()
        for frame in frames_between(self.root / item.entry.video, begin, end, fps):
            at = FrameTimecode(len(times), fps)
            times.append(begin + max(frame.time, 0.0))
            cuts |= {cut.frame_num for cut in detector.process_frame(at, small(frame.picture)[..., ::-1].copy())}
        if not times:
            return [(begin, begin)]
        cuts |= {cut.frame_num for cut in detector.post_process(FrameTimecode(len(times) - 1, fps))}
        step = (
            1.0 / fps
            if len(times) < 2
            else sorted(b - a for a, b in zip(times, times[1:], strict=False))[len(times) // 2 - 1]
        )
        last = min(times[-1] + step, end)
        edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(times)), len(times)]
        shots = []
        for first, after in zip(edges, edges[1:], strict=False):
            start = first + (_MARGIN if first else 0)
            stop = after - (_MARGIN if after < len(times) else 0)
            if start < stop:
                shots.append((times[start], times[stop] if stop < len(times) else last))
        return shots

    def _split(self, item: Item, begin: float, end: float) -> list[tuple[float, float]]:
        """Pieces of at most ``longest`` seconds, cut in the pause nearest to the limit."""
        if end - begin <= self.longest + 1e-6:
            return [(begin, end)]
        voice = read_voice(self.root / item.facts["sound"], begin, end, item.facts["zero"])
        spans = speech_spans(voice)
        silences = [(a, b) for (_, a), (b, _) in zip(spans, spans[1:], strict=False) if b - a >= _PAUSE]
        pauses = [begin + (a + b) / 2 for a, b in silences]
        pieces, at = [], begin
        while end - at > self.longest + 1e-6:
            latest = min(at + self.longest, max(end - self.shortest, at + self.longest / 2))
            fitting = [pause for pause in pauses if at + self.shortest <= pause <= latest]
            cut = fitting[-1] if fitting else latest
            pieces.append((at, cut))
            at = cut
        return [*pieces, (at, end)]
