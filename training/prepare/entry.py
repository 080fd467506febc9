"""Data types of `prepare`: an annotated video of a corpus, and a clip with the results of the steps."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

#: Names of MAFW's eleven classes in the order of its distribution vector, and what MEAD's eight are called there.
MAFW_EMOTIONS = (
    *("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "contempt"),
    *("anxiety", "helplessness", "disappointment"),
)
_SAME = {
    "anger": "angry",
    "disgust": "disgusted",
    "happiness": "happy",
    "happy": "happy",
    "sadness": "sad",
    "surprise": "surprised",
}


def emotion_name(word: str) -> str:
    """An emotion as this project names it: "anger" and "angry" are one."""
    word = word.strip().lower()
    return _SAME.get(word, word)


@dataclass(frozen=True)
class Entry:
    """One line of a corpus: a span of a video and its annotations.

    ``name`` is unique in the corpus; ``video`` and a separate ``audio`` are paths below the source folder. The stretch
    runs from second ``begin`` to ``end`` (0: the end of the video). Of several faces the one nearest to ``near`` is
    meant, x and y from 0 to 1, or the one in ``box``, left, top, right, bottom in pixels of a picture ``box_height``
    high (0: the height is not known, the box is in pixels of the best download there was). ``level`` 1..3, 0 unknown.
    ``problem`` is the reason why there is nothing to prepare.
    """

    name: str
    video: str
    speaker: str
    license_tag: str
    audio: str = ""
    begin: float = 0.0
    end: float = 0.0
    near: tuple[float, float] | None = None
    box: tuple[float, float, float, float] | None = None
    box_height: int = 0
    emotion: str = ""
    emotion_dist: tuple[float, ...] = ()
    level: float = 0.0
    lang: str = ""
    problem: str = ""

    def hint(self) -> list[Any]:
        """The annotation that selects the face."""
        return [self.near, self.box, self.box_height]


@dataclass(frozen=True)
class Item:
    """A span of a video in preparation: ``digest`` of the files' content, seconds, raw ``scores``, ``facts`` of other
    types, where each step's result lies in the store (``keys``), the ``reason`` it was rejected for, and a ``detail``
    for people."""

    entry: Entry
    digest: str = ""
    begin: float = 0.0
    end: float = 0.0
    scores: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""

    @property
    def id(self) -> str:
        """The clip's name: from the content, the seconds and the face meant, wherever the file lies."""
        told = [self.digest or self.entry.name, round(self.begin, 3), round(self.end, 3), self.entry.hint()]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    @property
    def frames(self) -> int:
        """Frames of 1/25 s that fit."""
        return int((self.end - self.begin) * 25 + 1e-6)

    def rejected(self, reason: str, detail: str = "") -> Item:
        return replace(self, reason=reason, detail=detail)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Item:
        told = json.loads(text)
        entry: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in told.pop("entry").items()}
        return Item(entry=Entry(**entry), **told)
