"""On a real ComfyUI: after a run, Expression Edit's frame is redrawn for other slider values without a queue.

Set COMFYUI_PATH and COMFYUI_PYTHON as for test_comfy.py.
"""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from comfy_graphs import graph, node
from comfy_server import COMFY, PYTHON, ComfyServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (COMFY and PYTHON), reason="COMFYUI_PATH and COMFYUI_PYTHON name no ComfyUI"),
]


def test_a_slider_redraws_a_frame_without_a_queue(comfy: ComfyServer) -> None:
    prompt = graph("direct_the_performance", {"PlaymateLoadFaceModel.file": "Playmate demo (bundled)"})
    edit = node(prompt, "PlaymateExpressionEdit")
    assert comfy.run(prompt).status == "success"
    wires = {"motion", "portrait", "face_model"}
    values: dict[str, Any] = {key: value for key, value in prompt[edit]["inputs"].items() if key not in wires}
    values["when"] = "all"  # the speech of these tests ends before the workflow's range begins
    ran = len(comfy.get("/history"))
    began = time.perf_counter()
    drawn = [comfy.get("/playmate/redraw", {"node": edit, "values": {**values, "aaa": aaa}}) for aaa in (0.0, 90.0)]
    spent = (time.perf_counter() - began) / 2
    pictures = [base64.b64decode(one["image"].partition(",")[2]) for one in drawn]
    assert all(picture.startswith(b"\xff\xd8") for picture in pictures) and pictures[0] != pictures[1]
    assert spent < 1.5, f"{spent:.2f} s for a frame"
    assert len(comfy.get("/history")) == ran, "nothing was queued"
    assert "Run the graph once" in comfy.get("/playmate/redraw", {"node": "no such node", "values": values})["said"]
    assert "names no node" in comfy.get("/playmate/redraw", [])["said"]
