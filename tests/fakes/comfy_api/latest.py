"""io, ui, InputImpl and ComfyExtension: enough to describe a node as /object_info does, and to call its execute."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class Input:
    def __init__(self, id: str, optional: bool = False, extra_dict: dict[str, Any] | None = None, **options: Any):
        self.id, self.optional = id, optional
        self.__dict__.update(options)
        self.lazy = options.get("lazy")
        self.extra_dict = extra_dict or {}
        self._shown = {k: v for k, v in options.items() if v is not None and k != "lazy"}

    def get_io_type(self) -> str:
        return self.kind

    def described(self, kind: str) -> list[Any]:
        return [kind, self._shown | self.extra_dict | ({"lazy": True} if self.lazy else {})]


class Output:
    def __init__(self, display_name: str = "", tooltip: str = ""):
        self.display_name, self.tooltip = display_name, tooltip


def kind(name: str) -> Any:
    """A type with its own Input and Output, whose instances remember the type's name."""
    return type(name, (), {"io_type": name, "Input": type("Input", (Input,), {"kind": name}), "Output": _output(name)})


def _output(name: str) -> type:
    return type("Output", (Output,), {"kind": name})


class ComboInput(Input):
    kind = "COMBO"

    def __init__(self, id: str, options: list[str], **more: Any):
        super().__init__(id, options=list(options), multiselect=False, **more)


class StringInput(Input):
    kind = "STRING"

    def __init__(self, id: str, multiline: bool = False, **more: Any):
        super().__init__(id, multiline=multiline, **more)


class MultiInput(Input):
    """With an Input for ``id`` it has the widget of that."""

    def __init__(self, id: Any, types: list[Any], **more: Any):
        names = [t.io_type for t in types]
        if isinstance(id, Input):
            names, more = [id.kind, *names], {**id._shown, "optional": id.optional, "widgetType": id.kind, **more}
            id = id.id
        super().__init__(id, **more)
        self.kind = ",".join(names)


@dataclass
class Schema:
    node_id: str
    display_name: str
    category: str
    description: str = ""
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    is_output_node: bool = False
    search_aliases: list[str] = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        """The part of /object_info that old and new servers agree on."""
        given: dict[str, dict[str, Any]] = {"required": {}}
        for put in self.inputs:
            given.setdefault("optional" if put.optional else "required", {})[put.id] = put.described(put.kind)
        return {
            "input": given,
            "input_order": {group: list(names) for group, names in given.items()},
            "output": [out.kind for out in self.outputs],
            "output_name": [out.display_name for out in self.outputs],
            "output_tooltips": [out.tooltip for out in self.outputs],
            "name": self.node_id,
            "display_name": self.display_name,
            "category": self.category,
            "description": self.description,
            "output_node": self.is_output_node,
        }


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None):
        self.args, self.ui = args, ui


class ComfyNode:
    hidden = SimpleNamespace(prompt=None, extra_pnginfo=None)


class ComfyExtension:
    pass


class SavedResult(dict):
    def __init__(self, filename: str, subfolder: str, type: str):
        super().__init__(filename=filename, subfolder=subfolder, type=type)


class VideoFromFile:
    def __init__(self, file: str):
        self.file = file

    def get_stream_source(self) -> str:
        return self.file


io = SimpleNamespace(
    Custom=kind,
    Schema=Schema,
    ComfyNode=ComfyNode,
    NodeOutput=NodeOutput,
    FolderType=SimpleNamespace(output="output", temp="temp"),
    Combo=SimpleNamespace(Input=ComboInput, io_type="COMBO"),
    MultiType=SimpleNamespace(Input=MultiInput),
    String=SimpleNamespace(Input=StringInput, Output=kind("STRING").Output, io_type="STRING"),
    AudioEncoder=kind("AUDIO_ENCODER"),
    **{name.title(): kind(name) for name in ("INT", "FLOAT", "BOOLEAN", "IMAGE", "MASK", "AUDIO", "VIDEO")},
)
ui = SimpleNamespace(SavedResult=SavedResult, PreviewVideo=lambda results: {"images": results})
InputImpl = SimpleNamespace(VideoFromFile=VideoFromFile)
