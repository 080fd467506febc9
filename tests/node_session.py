"""Run inside a subprocess by test_nodes.py: load the pack as ComfyUI would, describe the nodes, work with them.

The repository root is never on the path, or ``import nodes`` in ComfyUI's own modules would find ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import inspect
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def load_pack() -> Any:
    """Import the repository under a name of its own, with submodules, as ``load_custom_node`` does."""
    spec = importlib.util.spec_from_file_location(
        "custom_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["custom_pack"] = module
    spec.loader.exec_module(module)
    return module


def node_classes(pack: Any) -> dict[str, Any]:
    """By node id without prefix."""

    async def ask() -> list[Any]:
        return await (await pack.comfy_entrypoint()).get_node_list()

    return {node.define_schema().node_id.removeprefix("Playmate"): node for node in asyncio.run(ask())}


def described(nodes: dict[str, Any]) -> dict[str, Any]:
    return {f"Playmate{name}": node.define_schema().described() for name, node in sorted(nodes.items())}


class Session:
    """Calls nodes with their defaults, as a graph would."""

    def __init__(self) -> None:
        self.nodes = node_classes(load_pack())

    def run(self, name: str, linked: tuple[str, ...] = (), **given: Any) -> Any:
        """``linked``: widgets whose value comes by a link; a server does not know it while it validates."""
        node = self.nodes[name]
        wired = {"optional": {}, **node.define_schema().described()["input"]}
        values = {key: spec[1]["default"] for key, spec in wired["required"].items() if "default" in spec[1]}
        values = {**values, **given}
        if hasattr(node, "validate_inputs"):
            names = inspect.getfullargspec(node.validate_inputs).args[1:]
            verdict = node.validate_inputs(**{key: None if key in linked else values[key] for key in names})
            if verdict is not True:
                raise ValueError(verdict)
        found = node.execute(**values).args
        return found[0] if len(found) == 1 else found

    def refused(self, name: str, **given: Any) -> str:
        """What the node answers to a mistake."""
        with contextlib.suppress(AssertionError):
            try:
                self.run(name, **given)
            except Exception as problem:
                return f"{type(problem).__name__}: {problem}"
        raise AssertionError(f"{name} accepted {given}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent / "fakes"))
    json.dump(described(node_classes(load_pack())), sys.stdout)
