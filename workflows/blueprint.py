"""The subgraph blueprint: what ComfyUI's node library offers as one box, and opens as our single nodes.

Known to ComfyUI from 0.3.67 on; people put it into ``user/default/subgraphs``. In a folder ``subgraphs`` of the pack it
would be offered by itself, but what looks there asks older servers for a list that they do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from canvas import Graph, Out

from playmate_core.version import DISTRIBUTION, version

NAME = "Playmate Talking Portrait"
ABOUT = "A portrait and a voice become a video, stage by stage: open it to change a stage or to wire in a pose."
ALIASES = ["talking head", "lip sync", "playmate"]
#: Ids that ComfyUI gives the two ends of a subgraph.
BEGIN, END = -10, -20
SUBGRAPH = "00000000-0000-4000-8000-000000706c79"
GIVEN = (("image", "IMAGE"), ("audio", "AUDIO"))
#: Widgets shown on the box: (class, widget).
SHOWN = (("PlaymateEmotion", "emotion"), ("PlaymateEmotion", "intensity"), ("PlaymateSampleMotion", "seed"))


@dataclass
class Inside(Graph):
    """A graph whose first inputs come from outside: ``Out(BEGIN, slot)``."""

    def _type(self, end: Out) -> str:
        return GIVEN[end.slot][1] if end.node == BEGIN else super()._type(end)

    def _connect(self, end: Out, link: int) -> None:
        if end.node != BEGIN:
            super()._connect(end, link)


def build_graph() -> tuple[Inside, Out]:
    """The nodes, and the output that leaves the box."""
    g = Inside(NAME, ABOUT)
    face, motions = g.add("PlaymateLoadFaceModel", 0), g.add("PlaymateLoadMotionModel", 0)
    crop, _ = g.add("PlaymateCropPortrait", 1, image=Out(BEGIN, 0))
    portrait = g.add("PlaymateEncodePortrait", 1, face_model=face, crop=crop)
    speech, audio, _ = g.add("PlaymateEncodeAudio", 1, audio=Out(BEGIN, 1), motion_model=motions)
    mood = g.add("PlaymateEmotion", 1)
    motion = g.add(
        "PlaymateSampleMotion", 2, motion_model=motions, portrait=portrait, speech=speech, emotion=mood, seed=0
    )
    video = g.add("PlaymateRenderToVideo", 3, face_model=face, portrait=portrait, motion=motion, audio=audio)
    return g, video


def saved() -> dict[str, Any]:
    """As ComfyUI stores a blueprint: one box, and its definition."""
    g, video = build_graph()
    g.arrange()
    links = [
        {"id": n, "origin_id": a, "origin_slot": b, "target_id": c, "target_slot": d, "type": kind}
        for n, a, b, c, d, kind in g.links
    ]
    leaving = len(links) + 1
    links.append(
        {"id": leaving, "origin_id": video.node, "origin_slot": video.slot, "target_id": END, "target_slot": 0}
        | {"type": "VIDEO"}
    )
    g.nodes[video.node - 1]["outputs"][video.slot]["links"].append(leaving)
    ends = [link for link in links if link["origin_id"] == BEGIN]
    given = [
        _end(slot, name, kind, [link["id"] for link in ends if link["origin_slot"] == slot])
        for slot, (name, kind) in enumerate(GIVEN)
    ]
    definition = {
        "id": SUBGRAPH,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": len(g.nodes), "lastLinkId": leaving, "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": NAME,
        "category": "Playmate",
        "description": ABOUT,
        "inputNode": {"id": BEGIN, "bounding": [-260, 100, 120, 80]},
        "outputNode": {"id": END, "bounding": [1400, 100, 120, 60]},
        "inputs": given,
        "outputs": [_end(9, "video", "VIDEO", [leaving])],
        "widgets": [],
        "nodes": g.nodes,
        "groups": [],
        "links": links,
        "extra": {},
    }
    return {
        "id": SUBGRAPH[:-1] + "a",
        "revision": 0,
        "last_node_id": len(g.nodes) + 1,
        "last_link_id": 0,
        "nodes": [_box(g)],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [definition]},
        "config": {},
        "extra": {"BlueprintDescription": ABOUT, "BlueprintSearchAliases": ALIASES},
        "version": 0.4,
    }


def _end(number: int, name: str, kind: str, links: list[int]) -> dict[str, Any]:
    identity = f"{SUBGRAPH[:-2]}{number:02d}"
    return {"id": identity, "name": name, "type": kind, "linkIds": links, "label": name, "pos": [0, 20 * number]}


def _box(g: Graph) -> dict[str, Any]:
    numbers = {entry["class_type"]: key for key, entry in g.prompt.items()}
    return {
        "id": len(g.nodes) + 1,
        "type": SUBGRAPH,
        "title": NAME,
        "pos": [0, 0],
        "size": [300, 200],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [{"name": name, "type": kind, "link": None} for name, kind in GIVEN],
        "outputs": [{"name": "video", "type": "VIDEO", "links": []}],
        "properties": {
            "proxyWidgets": [[numbers[kind], widget] for kind, widget in SHOWN],
            "cnr_id": DISTRIBUTION,
            "ver": version(),
        },
        "widgets_values": [],
    }
