"""A canvas for drawing workflows: nodes and links, in the form the page saves and in the form the server runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import layout
import order

from playmate_core.version import DISTRIBUTION, version
from playmate_core.weights.catalogue import DITTO, JOYVASA, LIVEPORTRAIT_HUMAN
from playmate_core.weights.folders import megabytes
from playmate_core.weights.model_file import ModelFile

NODES = json.loads((Path(__file__).resolve().parents[1] / "tests" / "data" / "nodes.json").read_text(encoding="utf-8"))
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
#: What nodes/demo.py lays among ComfyUI's input files.
PICTURE, VOICE, VIDEO = "playmate_portrait.png", "playmate_speech.wav", "playmate_driving.mp4"
#: ComfyUI's own nodes that are used, in the form of nodes.json: the same in every version since 0.3.64.
CORE: dict[str, dict[str, Any]] = {
    "LoadImage": {
        "input": {"required": {"image": ["COMBO", {"default": PICTURE}]}},
        "output": ["IMAGE", "MASK"],
        "display_name": "Load Image",
    },
    "LoadAudio": {
        "input": {"required": {"audio": ["COMBO", {"default": VOICE}]}},
        "output": ["AUDIO"],
        "display_name": "Load Audio",
    },
    "LoadVideo": {
        "input": {"required": {"file": ["COMBO", {"default": VIDEO}]}},
        "output": ["VIDEO"],
        "display_name": "Load Video",
    },
    "PreviewImage": {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "display_name": "Preview Image"},
    "InvertMask": {"input": {"required": {"mask": ["MASK"]}}, "output": ["MASK"], "display_name": "Invert Mask"},
    "CreateVideo": {
        "input": {
            "required": {"images": ["IMAGE"], "fps": ["FLOAT", {"default": 30.0}]},
            "optional": {"audio": ["AUDIO"]},
        },
        "output": ["VIDEO"],
        "display_name": "Create Video",
    },
    "SaveVideo": {
        "input": {
            "required": {
                "video": ["VIDEO"],
                "filename_prefix": ["STRING", {"default": "video/ComfyUI"}],
                "format": ["COMBO", {"default": "auto"}],
                "codec": ["COMBO", {"default": "auto"}],
            }
        },
        "output": [],
        "display_name": "Save Video",
    },
    "ImageStitch": {
        "input": {
            "required": {
                "image1": ["IMAGE"],
                "direction": ["COMBO", {"default": "right"}],
                "match_image_size": ["BOOLEAN", {"default": True}],
                "spacing_width": ["INT", {"default": 0}],
                "spacing_color": ["COMBO", {"default": "white"}],
            },
            "optional": {"image2": ["IMAGE"]},
        },
        "output": ["IMAGE"],
        "display_name": "Image Stitch",
    },
    "ImagePadForOutpaint": {
        "input": {
            "required": {
                "image": ["IMAGE"],
                **{side: ["INT", {"default": 0}] for side in ("left", "top", "right", "bottom")},
                "feathering": ["INT", {"default": 40}],
            }
        },
        "output": ["IMAGE", "MASK"],
        "display_name": "Pad Image for Outpainting",
    },
    "SplitAudioChannels": {
        "input": {"required": {"audio": ["AUDIO"]}},
        "output": ["AUDIO", "AUDIO"],
        "output_name": ["left", "right"],
        "display_name": "Split Audio Channels",
    },
    "GetImageSize": {
        "input": {"required": {"image": ["IMAGE"]}},
        "output": ["INT", "INT", "INT"],
        "output_name": ["width", "height", "batch_size"],
        "display_name": "Get Image Size",
    },
    "ImageFlip": {
        "input": {"required": {"image": ["IMAGE"], "flip_method": ["COMBO", {"default": "x-axis: vertically"}]}},
        "output": ["IMAGE"],
        "display_name": "Flip Image",
    },
    "ImageBatch": {
        "input": {"required": {"image1": ["IMAGE"], "image2": ["IMAGE"]}},
        "output": ["IMAGE"],
        "display_name": "Batch Images",
    },
    "RebatchImages": {
        "input": {"required": {"images": ["IMAGE"], "batch_size": ["INT", {"default": 1}]}},
        "output": ["IMAGE"],
        "display_name": "Rebatch Images",
    },
}


def _offered(file: ModelFile) -> dict[str, str]:
    """An entry of a node's ``models``; a hash only where one is public."""
    known = {"hash": file.sha256, "hash_type": "SHA256"} if file.sha256 else {}
    return {"name": file.name, "url": file.url, "directory": file.folder, **known}


#: What ComfyUI's page offers to download when the file that a node has chosen is not there. Measured on frontends 1.27
#: and 1.49: of the files a node lists, those count whose name is the value of one of its widgets, so with a bundled
#: model nothing is said to be missing; with the file chosen and absent 1.27 opens its missing-models dialog and 1.49
#: marks the node red, both with a download. Of LivePortrait's five files the first is such a value; Load Face Model's
#: sentence and the note name the other four. Frontends up to 1.58 download .pt and .pth, but no .pkl and no .onnx:
#: JoyVASA's template and Ditto's configuration and encoder are linked in the note and named by Load Motion Model.
LISTED = {
    "PlaymateLoadFaceModel": [_offered(file) for file in LIVEPORTRAIT_HUMAN.files],
    "PlaymateLoadMotionModel": [_offered(file) for file in (*JOYVASA.files, *DITTO.files)],
}


def _links(files: Iterable[ModelFile]) -> str:
    """The files of a set as links with their sizes."""
    return ", ".join(f"[{Path(file.name).name}]({file.url}) ({megabytes(file.size)})" for file in files)


LINKS = _links(LIVEPORTRAIT_HUMAN.files)
#: Bold and not code: on the colour of a note, code cannot be read in Nodes 2.0 (frontend 1.49).
WEIGHTS_NOTE = (
    "**LivePortrait weights.** The bundled face model knows drawn heads only. For photographs put LivePortrait's five"
    " files into **models/liveportrait** and choose **appearance_feature_extractor** in Load Face Model: 520 MB in all,"
    f" MIT licence. Download: {LINKS}. To find the face in any picture also install"
    " **mediapipe**, or **insightface** (its models are for non-commercial use)."
)
GENERATORS_NOTE = (
    "**JoyVASA** (MIT, no emotions of its own) goes with its folders into **models/joyvasa**:"
    f" {_links(JOYVASA.files)}. **Ditto** (Apache-2.0, eight emotions, needs onnxruntime) goes with its folders into"
    f" **models/ditto**: {_links(DITTO.files)}. Both learned mostly Chinese and English. **playmate weights fetch**"
    " with **liveportrait**, **joyvasa** or **ditto** puts all of a set into place."
)


def as_read(note: str) -> str:
    """What is read of a note: the names of the files without their addresses, and no marks."""
    return re.sub(r"\]\([^)]*\)|\[|\*\*", "", note)


@dataclass(frozen=True)
class Out:
    """An output of a node that is already there."""

    node: int
    slot: int


@dataclass
class Graph:
    """A workflow while it is drawn."""

    title: str
    note: str
    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    prompt: dict[str, Any] = field(default_factory=dict)
    boxes: dict[int, layout.Box] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, column: int, title: str = "", **values: Any) -> Any:
        """Put a node into a column; ``values`` are outputs of other nodes or widget values, defaults elsewhere."""
        info = NODES.get(kind) or CORE[kind]
        number = len(self.nodes) + 1
        specs = [(n, spec) for group in ("required", "optional") for n, spec in info["input"].get(group, {}).items()]
        order = [n for group in ("required", "optional") for n in info.get("input_order", info["input"]).get(group, {})]
        specs.sort(key=lambda item: order.index(item[0]))
        unknown = set(values) - {name for name, _ in specs}
        if unknown:
            raise ValueError(f"{kind} has no {sorted(unknown)}.")
        several = [name for name, value in values.items() if isinstance(value, tuple)]
        if several:
            raise ValueError(f"{kind} is given all outputs of a node as {several}; choose one of them.")
        inputs, widgets = [], []
        taken: dict[str, Any] = {}
        for name, spec in specs:
            options = spec[1] if len(spec) > 1 else {}
            value = values.get(name, options.get("default"))
            if "linkable" in options and isinstance(value, (int, float)):
                value = f"{value:g}"  # a time, whose widget holds text
            if isinstance(value, Out):
                self.links.append([len(self.links) + 1, value.node, value.slot, number, len(inputs), self._type(value)])
                self._connect(value, len(self.links))
                socket = {"name": name, "type": spec[0], "link": len(self.links)}
                if spec[0] in WIDGETS:  # keeps its place among the values
                    socket["widget"] = {"name": name}
                    widgets.append(options.get("default"))
                inputs.append(socket)
                taken[name] = [str(value.node), value.slot]
            elif spec[0] in WIDGETS:
                widgets.append(value)
                taken[name] = value
                if options.get("control_after_generate"):
                    widgets.append("fixed")
            else:
                inputs.append({"name": name, "type": spec[0], "link": None})
        sockets = sum("widget" not in entry for entry in inputs)
        taller = max(sockets, len(info["output"]))
        self.boxes[number] = layout.box(kind, column, [spec for _, spec in specs], taller, len(widgets))
        self._place(number, kind, title or info["display_name"], inputs, info, widgets)
        self.prompt[str(number)] = {
            "inputs": taken,
            "class_type": kind,
            "_meta": {"title": title or info["display_name"]},
        }
        outs = [Out(number, slot) for slot in range(len(info["output"]))]
        return outs[0] if len(outs) == 1 else outs

    def as_app(self, shown: Sequence[tuple[Out, str]], result: Out) -> None:
        """Set up the page's app mode (frontends since 1.41): a form of (node, widget), and what Run shows.

        The page still opens the graph: beginning in app mode, it lays its tour of apps over the first one it meets.
        """
        asked = [[end.node, widget] for end, widget in shown]
        self.extra |= {"linearMode": False, "linearData": {"inputs": asked, "outputs": [result.node]}}

    def _place(
        self,
        number: int,
        kind: str,
        title: str,
        inputs: list[dict[str, Any]],
        info: dict[str, Any],
        widgets: list[Any],
    ) -> None:
        names = info.get("output_name", info["output"])
        ours, part, box = kind.startswith("Playmate"), layout.part(kind), self.boxes[number]
        self.nodes.append(
            {
                "id": number,
                "type": kind,
                "title": title,
                "pos": [box.left, 0],
                "size": [layout.WIDE, box.height],
                "flags": {},
                "order": number - 1,
                "mode": 0,
                "inputs": inputs,
                "outputs": [
                    {"name": name, "type": what, "links": []} for name, what in zip(names, info["output"], strict=True)
                ],
                "properties": {
                    "Node name for S&R": kind,
                    "cnr_id": DISTRIBUTION if ours else "comfy-core",
                    "ver": version() if ours else "0.3.64",
                    **({"models": LISTED[kind]} if kind in LISTED else {}),
                },
                "widgets_values": widgets,
                "color": part.head,
                "bgcolor": part.body,
            }
        )

    def arrange(self) -> dict[int, int]:
        """Lay the nodes out in their columns: the top of each."""
        wires = [
            order.Wire(start, output, end, self._row(end, entry))
            for _, start, output, end, entry, _ in self.links
            if start in self.boxes
        ]
        tops = order.arranged(self.boxes, wires)
        for node in self.nodes:
            node["pos"][1] = tops[node["id"]]
        return tops

    def _row(self, number: int, entry: int) -> int:
        """The row of an input on the canvas; those of widgets come below the others."""
        entries = self.nodes[number - 1]["inputs"]
        sockets = [socket["name"] for socket in entries if "widget" not in socket]
        name = entries[entry]["name"]
        return sockets.index(name) if name in sockets else len(sockets)

    def _type(self, end: Out) -> str:
        return str(self.nodes[end.node - 1]["outputs"][end.slot]["type"])

    def _connect(self, end: Out, link: int) -> None:
        self.nodes[end.node - 1]["outputs"][end.slot]["links"].append(link)

    def saved(self) -> dict[str, Any]:
        """As the page saves it."""
        number, tops = len(self.nodes) + 1, self.arrange()
        text = f"## {self.title}\n\n{self.note}\n\n{WEIGHTS_NOTE}"
        note = {
            "id": number,
            "type": "MarkdownNote",
            "title": f"About: {self.title}",
            "pos": [-450, -50],
            "size": [layout.NOTE_WIDE, layout.note_height(as_read(text))],
            "flags": {},
            "order": number - 1,
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "properties": {"cnr_id": "comfy-core", "ver": "0.3.64"},
            "widgets_values": [text],
            "color": layout.NOTE[0],
            "bgcolor": layout.NOTE[1],
        }
        groups = layout.groups(self.boxes, tops)
        return {
            "id": "00000000-0000-4000-8000-" + format(abs(sum(map(ord, self.title))), "012d"),
            "revision": 0,
            "last_node_id": number,
            "last_link_id": len(self.links),
            "nodes": [*self.nodes, note],
            "links": self.links,
            "groups": groups,
            "config": {},
            "extra": self.extra,
            "version": 0.4,
        }
