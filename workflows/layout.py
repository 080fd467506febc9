"""How the shipped workflows look: sizes of nodes, and the parts of a graph with their groups and colours."""

from __future__ import annotations

from typing import Any

#: Columns and rows of the canvas; a multiline widget has room for four lines.
WIDE, COLUMN, GAP = 300, 360, 80
SLOT, WIDGET, LINES = 20, 24, 110
#: The page lets these grow below their place as soon as they have a picture or a video to show.
SHOWS = {
    "LoadImage": 240,
    "LoadAudio": 60,
    "PreviewImage": 280,
    "PlaymateRenderToVideo": 320,
    "PlaymateTalk": 320,
    "SaveVideo": 260,
}
#: The parts of a graph: title, colour of its group, of its nodes' heads and of their bodies. The classes of the last.
PARTS = {
    "load": ("Picture, voice and models", "#7ab8e6", "#223", "#335"),
    "listen": ("Portrait, speech and emotion", "#a6d9a6", "#232", "#353"),
    "motion": ("Motion and head pose", "#e0b860", "#432", "#653"),
    "show": ("Pictures and video", "#d78ae0", "#323", "#535"),
}
LOADS = ("PlaymateLoad", "PlaymateDemo", "Load", "ImagePad", "InvertMask")
LISTENS = ("PlaymateCrop", "PlaymateEncode", "PlaymateEmotion")
SHOWN = (
    "PlaymateRender",
    "PlaymatePaste",
    "PlaymatePlot",
    "PlaymatePreview",
    "PlaymateContactSheet",
    "PlaymateTalk",
    "Preview",
    "Create",
    "Save",
)


def part(kind: str) -> str:
    """To which part of a graph a class belongs."""
    if kind.startswith("PlaymateSave"):
        return "motion"
    starts = {"load": LOADS, "listen": LISTENS, "show": SHOWN}
    return next((name for name, words in starts.items() if kind.startswith(words)), "motion")


def groups(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A box round every run of nodes of one part in a column; whole columns of one part share one."""
    boxes: list[tuple[str, list[int]]] = []  # part, and left, top, right, bottom
    for node in sorted(nodes, key=lambda node: node["pos"]):
        (left, top), kind = node["pos"], part(node["type"])
        bottom = top + node["size"][1] + SHOWS.get(node["type"], 0)
        last = boxes[-1][1] if boxes else [0] * 4
        if boxes and boxes[-1][0] == kind and last[0] == left:
            last[3] = bottom
        else:
            boxes.append((kind, [left, top, left + WIDE, bottom]))
    merged: list[tuple[str, list[int]]] = []
    for kind, box in boxes:
        alone = sum(other[0] == box[0] for _, other in boxes) == 1
        last = merged[-1][1] if merged else [0] * 4
        if alone and merged and merged[-1][0] == kind and last[1] == 0 and last[2] + COLUMN - WIDE == box[0]:
            merged[-1] = kind, [last[0], 0, box[2], max(last[3], box[3])]
        else:
            merged.append((kind, box))
    return [
        {
            "id": number,
            "title": PARTS[kind][0],
            "bounding": [left - 15, top - 80, right - left + 30, bottom - top + 120],
            "color": PARTS[kind][1],
            "font_size": 24,
            "flags": {},
        }
        for number, (kind, (left, top, right, bottom)) in enumerate(merged, start=1)
    ]
