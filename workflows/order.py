"""Where the nodes of each column stand: so that few links pass over nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import layout
import numpy as np
from layout import Box, Part

#: Points of a link's curve that are looked at, its ends left out.
STEPS = np.linspace(0, 1, 26)[1:-1]
#: A part is moved down by this much at a time. A link that passes over a node is worth two parts moved down, or this
#: much of the graph's height.
LOWER, DEEP = 70, 80
PICKERS = ("LoadImage", "LoadAudio", "LoadVideo")


class Wire(NamedTuple):
    """A link: the nodes' numbers and the rows of their sockets."""

    start: int
    output: int
    end: int
    input: int


@dataclass(frozen=True)
class Column:
    """Nodes from the top on, and how much lower than needed some of their parts begin."""

    nodes: tuple[int, ...]
    lower: Mapping[Part, int] = field(default_factory=dict)


class Canvas:
    """The boxes and links of a graph, and what an arrangement of them is worth."""

    def __init__(self, boxes: Mapping[int, Box], wires: Sequence[Wire]) -> None:
        self.boxes, self.numbers = boxes, list(boxes)
        at = {number: n for n, number in enumerate(self.numbers)}
        self.ends = np.array([(at[wire.start], at[wire.end]) for wire in wires], int).reshape(-1, 2)
        self.rows = np.array([(wire.output, wire.input) for wire in wires], int).reshape(-1, 2) * layout.SLOT + 14.0
        self.left = np.array([box.left for box in boxes.values()], float)
        self.height = np.array([box.height for box in boxes.values()], float)
        self.strange = np.ones((len(wires), len(boxes)), bool)  # a link may touch the nodes that it joins
        for n, ends in enumerate(self.ends):
            self.strange[n, ends] = False

    def tops(self, columns: Sequence[Column]) -> dict[int, int]:
        """The top of each node."""
        return {
            number: top
            for one in columns
            for number, top in zip(
                one.nodes, layout.stack([self.boxes[number] for number in one.nodes], one.lower), strict=True
            )
        }

    def bottom(self, columns: Sequence[Column]) -> int:
        return max(top + self.boxes[number].height for number, top in self.tops(columns).items())

    def crossings(self, tops: Mapping[int, int]) -> tuple[int, float]:
        """How often a link passes over a node that it does not join, and how far all links climb or fall."""
        top = np.array([tops[number] for number in self.numbers], float)
        start, end = self.ends[:, 0], self.ends[:, 1]
        x0, y0 = self.left[start] + layout.WIDE, top[start] + self.rows[:, 0]
        x1, y1 = self.left[end], top[end] + self.rows[:, 1]
        bow = np.hypot(x1 - x0, y1 - y0) / 4
        t = STEPS[:, None]
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
        x, y = a * x0 + b * (x0 + bow) + c * (x1 - bow) + d * x1, (a + b) * y0 + (c + d) * y1
        inside = (x[..., None] > self.left) & (x[..., None] < self.left + layout.WIDE)
        inside &= (y[..., None] > top - layout.TITLE) & (y[..., None] < top + self.height)
        return int((inside.any(0) & self.strange).sum()), float(np.abs(y1 - y0).sum())

    def cost(self, columns: Sequence[Column]) -> tuple[float, float]:
        crossed, climbed = self.crossings(self.tops(columns))
        lowered = sum(len(one.lower) for one in columns)
        upward = sum(self._upward(columns))
        return crossed + 3 * upward + lowered / 2 + self.bottom(columns) / DEEP, climbed

    def _upward(self, columns: Sequence[Column]) -> Iterator[bool]:
        """Of the links within a column, whether they lead to a node further up."""
        at = {number: n for one in columns for n, number in enumerate(one.nodes)}
        for start, end in self.ends:
            first, second = self.numbers[start], self.numbers[end]
            yield self.boxes[first].column == self.boxes[second].column and at[first] > at[second]


def arranged(boxes: Mapping[int, Box], wires: Sequence[Wire]) -> dict[int, int]:
    """The top of each node.

    Columns keep their parts together, and the pickers first as they were added. Nodes and parts are moved within their
    column as long as that makes links pass over fewer nodes, or climb less. Begun from both ends, as what is found
    depends on it.
    """
    canvas = Canvas(boxes, wires)
    found = [_improved(canvas, [*boxes][::way]) for way in (1, -1)]
    return canvas.tops(min(found, key=canvas.cost))


def _improved(canvas: Canvas, numbers: Sequence[int]) -> list[Column]:
    """The columns, begun with their nodes in that order, as good as single moves make them."""
    boxes = canvas.boxes
    columns = []
    for at in sorted({box.column for box in boxes.values()}):
        nodes = [number for number in numbers if boxes[number].column == at]
        fixed = sorted(number for number in nodes if boxes[number].kind in PICKERS)
        columns.append(Column(_together([*fixed, *(number for number in nodes if number not in fixed)], boxes)))
    longest, best, better = canvas.bottom(columns), canvas.cost(columns), True
    while better:
        better = False
        for n in range(len(columns)):
            for other in _moves(columns[n], boxes, longest):
                tried = [*columns[:n], other, *columns[n + 1 :]]
                cost = canvas.cost(tried)
                if cost < best:
                    best, columns, better = cost, tried, True
    return columns


def _together(nodes: Sequence[int], boxes: Mapping[int, Box]) -> tuple[int, ...]:
    """Sorted by part in the order in which the parts appear."""
    parts = [boxes[number].part for number in nodes]
    return tuple(sorted(nodes, key=lambda number: parts.index(boxes[number].part)))


def _moves(column: Column, boxes: Mapping[int, Box], longest: int) -> Iterator[Column]:
    """The column with one node, or one part, elsewhere."""
    nodes, fixed = column.nodes, tuple(number for number in column.nodes if boxes[number].kind in PICKERS)
    found = []
    for number in nodes:
        rest = [other for other in nodes if other != number]
        found += [(*rest[:n], number, *rest[n:]) for n in range(len(nodes))]
    parts = list(dict.fromkeys(boxes[number].part for number in nodes))
    for chosen in parts:
        others = [number for number in nodes if boxes[number].part != chosen]
        own = [number for number in nodes if boxes[number].part == chosen]
        found += [(*own, *others), (*others, *own)]
    for other in found:
        if other != nodes and other[: len(fixed)] == fixed and _together(other, boxes) == other:
            yield replace(column, nodes=other)
    for chosen in parts:
        kept = {part: lower for part, lower in column.lower.items() if part != chosen}
        if not fixed:
            yield from (replace(column, lower=kept | {chosen: lower}) for lower in range(LOWER, longest + 1, LOWER))
        yield replace(column, lower=kept)
