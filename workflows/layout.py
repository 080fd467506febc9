"""How the shipped workflows look: sizes of nodes, and the parts of a graph with their groups and colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

#: Columns and rows of the canvas; a multiline widget has room for four lines. Measured on frontends 1.49 and 1.58.
WIDE, COLUMN, TITLE, GAP = 300, 372, 30, 16
SLOT, WIDGET, LINES = 20, 24, 110
#: Nodes 2.0 makes our nodes higher: their badge lies below the widgets, and a line of text is higher.
BADGE, TEXT = 44, 16
#: What a node has below its widgets: buttons and a picture, a player, or room for what it shows after a run.
SHOWS = {
    "LoadImage": 250,
    "LoadAudio": 90,
    "LoadVideo": 320,
    "PreviewImage": 220,
    "PlaymateRenderToVideo": 256,
    "PlaymateTalk": 256,
    "SaveVideo": 256,
}
#: The head and body of the note.
NOTE = "#2b2b2f", "#1c1c20"
#: Its width, and about how many letters a line of it holds there.
NOTE_WIDE, LETTERS = 400, 75


def note_height(text: str) -> int:
    """Of the node of a note in paragraphs, the first of which is its title; a line, and the space between, are 12."""
    _, *paragraphs = text.split("\n\n")
    lines = sum(-(-len(paragraph) // LETTERS) for paragraph in paragraphs)
    return 62 + 12 * (lines + len(paragraphs))


class Part(NamedTuple):
    """A part of a graph: its title, the colours of its group and of its nodes' heads and bodies, and the classes that
    belong to it, by how their names begin."""

    title: str
    group: str
    head: str
    body: str
    classes: tuple[str, ...]


LOAD = Part(
    "Picture, voice and models",
    "#7ab8e6",
    "#223",
    "#335",
    ("PlaymateLoad", "PlaymateDemo", "Load", "ImagePad", "InvertMask"),
)
PARTS = (
    LOAD,
    Part(
        "Portrait, speech and emotion",
        "#a6d9a6",
        "#232",
        "#353",
        ("PlaymateCrop", "PlaymateEncode", "PlaymateEmotion", "PlaymateSourceDoctor"),
    ),
    Part(
        "Motion",
        "#e0b860",
        "#432",
        "#653",
        ("PlaymateSample", "PlaymateResample", "PlaymateTakes", "PlaymateMotionFrom"),
    ),
    Part("Head pose", "#7fd6cf", "#233", "#355", ("PlaymatePose", "PlaymateApplyPose")),
    Part(
        "See it before it is drawn",
        "#b8c4d8",
        "#2a363b",
        "#3f5159",
        (
            "PlaymatePlot",
            "PlaymatePreview",
            "PlaymateContactSheet",
            "PlaymateMotionReport",
            "PlaymateCompare",
            "PreviewImage",
        ),
    ),
    Part(
        "Video",
        "#d78ae0",
        "#323",
        "#535",
        ("PlaymateRender", "PlaymatePasteBack", "PlaymateTalk", "ImageStitch", "CreateVideo", "SaveVideo"),
    ),
    Part("Choose, change and keep", "#e69a8d", "#322", "#533", ("",)),
)


def part(kind: str) -> Part:
    """To which part of a graph a class belongs."""
    return next(part for part in PARTS if kind.startswith(part.classes))


@dataclass(frozen=True)
class Box:
    """A node as it is laid out: its class, its column, its height on the canvas, and the room below that Nodes 2.0
    needs."""

    kind: str
    column: int
    height: int
    room: int

    @property
    def part(self) -> Part:
        return part(self.kind)

    @property
    def left(self) -> int:
        return self.column * COLUMN


def box(kind: str, column: int, specs: Sequence[Any], sockets: int, rows: int) -> Box:
    """The box of a node with that many sockets on its taller side and that many rows of widgets."""
    texts = [spec[1] if len(spec) > 1 else {} for spec in specs if spec[0] == "STRING"]
    several = sum(bool(options.get("multiline")) for options in texts)
    widgets = (8 + WIDGET * rows) * bool(rows)
    height = 6 + SLOT * sockets + widgets + LINES * several + SHOWS.get(kind, 0)
    ours = BADGE if kind.startswith("Playmate") else 20
    return Box(kind, column, height, ours + TEXT * (len(texts) - several))


def stack(column: Sequence[Box], lower: Mapping[Part, int]) -> list[int]:
    """The tops of the nodes of a column: further apart where another part begins, by ``lower`` more if it says so."""
    tops, at = [], 0
    for n, node in enumerate(column):
        if not n or column[n - 1].part != node.part:
            at += lower.get(node.part, 0) + (TITLE + 2 * GAP + 20) * bool(n)
        tops.append(at)
        at += node.height + node.room + TITLE + GAP
    return tops


def groups(boxes: Mapping[int, Box], tops: Mapping[int, int]) -> list[dict[str, Any]]:
    """A frame round every run of nodes of one part in a column; neighbours of one part share it where they fill it."""
    frames: list[tuple[Part, tuple[int, int, int, int]]] = []  # left, top, right, bottom
    for number in sorted(boxes, key=lambda number: (boxes[number].left, tops[number])):
        node, top = boxes[number], tops[number]
        frame = node.left, top, node.left + WIDE, top + node.height + node.room
        if frames and frames[-1][0] == node.part and frames[-1][1][0] == node.left:
            frame = *frames.pop()[1][:3], frame[3]
        frames.append((node.part, frame))
    merged = list(frames)
    for kind, frame in frames:
        mate = next((other for other in merged if other[0] == kind and _neighbours(other[1], frame)), None)
        if mate is None:
            continue
        joined = *mate[1][:2], frame[2], max(mate[1][3], frame[3])
        rest = [other for other in merged if other not in (mate, (kind, frame))]
        if not any(_overlap(joined, other) for _, other in rest):
            merged = [*rest, (kind, joined)]
    return [
        {
            "id": number,
            "title": kind.title,
            "bounding": [left - 16, top - 82, right - left + 32, bottom - top + 90],
            "color": kind.group,
            "font_size": 24,
            "flags": {},
        }
        for number, (kind, (left, top, right, bottom)) in enumerate(merged, start=1)
    ]


def _neighbours(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    """Beside each other, from one top on and about equally high."""
    return first[2] + COLUMN - WIDE == second[0] and first[1] == second[1] and abs(first[3] - second[3]) < 120


def _overlap(first: tuple[int, int, int, int], second: tuple[int, int, int, int]) -> bool:
    """Whether the frames would touch, titles and margins included."""
    across = first[0] < second[2] and second[0] < first[2]
    return across and first[1] - 90 < second[3] + 8 and second[1] - 90 < first[3] + 8
