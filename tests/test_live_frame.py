"""The newest frame of a node that ends with a video: a message for ComfyUI's page, a preview for any other client."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from node_process import in_subprocess

SCRIPT = """
import json, comfy.utils, comfy_execution.utils as execution, node_session, numpy as np
from importlib import import_module
from server import PromptServer
node_session.load_pack()
runtime = import_module("custom_pack.nodes.runtime")
execution.running = execution.ExecutionContext("a prompt", "7:5")
frame = np.zeros((300, 600, 3), np.uint8)
frame[:, :300] = (200, 0, 0)
def told(client, *features, live=True, frames=1):
    comfy.utils.told.clear()
    PromptServer.instance = client and PromptServer(client, *features)
    bar = runtime.Bar(runtime.LiveFrames() if live else None)
    for done in range(frames):
        bar.show(frame)
        bar(done + 1, frames)
    previews = sum(preview is not None for *_, preview in comfy.utils.told)
    return {"sent": PromptServer.instance.sent if client else [], "previews": previews}
page = ("a page", "supports_preview_metadata")
print(json.dumps({
    "page": told(*page), "many": told(*page, frames=50), "script": told("a script"), "nobody": told(None),
    "pictures": told(*page, live=False),
}))
"""


def test_a_page_gets_a_message_and_other_clients_get_previews(tmp_path: Path) -> None:
    """A preview would stay before the video: see nodes/live_frame.py."""
    told: dict[str, Any] = json.loads(in_subprocess(SCRIPT, tmp_path))
    ((event, message, client),) = told["page"]["sent"]
    assert (event, client) == ("playmate.live_frame", "a page")
    assert (message["node"], message["prompt_id"]) == ("7:5", "a prompt")
    head, _, data = message["image"].partition(",")
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert head == "data:image/jpeg;base64" and picture is not None and picture.shape == (256, 512, 3)
    np.testing.assert_allclose(picture[128, 100, ::-1], (200, 0, 0), atol=6)
    assert told["page"]["previews"] == 0 == told["many"]["previews"]
    assert 1 <= len(told["many"]["sent"]) < 50, "no more of them than can be seen"
    for other in ("script", "nobody"):
        assert told[other] == {"sent": [], "previews": 1}, other
    assert told["pictures"] == {"sent": [], "previews": 1}, "a node without a video has ComfyUI's own"
