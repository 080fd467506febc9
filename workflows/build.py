"""Write the shipped workflows: each in the form the page saves, and beside it, in api/, the form the server runs; and
the blueprint in blueprints/.

``python workflows/build.py`` rewrites both from the graphs below and from tests/data/nodes.json, which holds the nodes
as ComfyUI describes them; a test says when a file is not what this would write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import blueprint
from direct_graphs import DIRECTING
from graphs import GRAPHS
from photograph_graphs import PHOTOGRAPHS
from several_graphs import SEVERAL

HERE = Path(__file__).resolve().parent


def dump(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """Path below workflows/ -> what stands there."""
    made = {f"blueprints/{blueprint.NAME}.json": dump(blueprint.saved())}
    for name, draw in {**GRAPHS, **PHOTOGRAPHS, **DIRECTING, **SEVERAL}.items():
        graph = draw()
        made[f"{name}.json"], made[f"api/{name}.json"] = dump(graph.saved()), dump(graph.prompt)
    return made


if __name__ == "__main__":
    for path, text in files().items():
        (HERE / path).parent.mkdir(exist_ok=True)
        (HERE / path).write_text(text, encoding="utf-8")
