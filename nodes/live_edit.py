"""One frame of Expression Edit, drawn again whenever a slider moves, without queueing the graph.

An execution of the node with a portrait and a face model connected keeps what it worked on; web/live_edit.js sends the
widgets' values to ROUTE after each change and shows the answer on the node.
"""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ..playmate_core.errors import UserError
from ..playmate_core.rendering.render import render
from ..playmate_core.values import Motion, Portrait
from .runtime import Managed, loaded

ROUTE = "/playmate/redraw"
#: Nodes whose state is kept; the oldest is forgotten.
MOST_KEPT = 4
QUALITY = 85
#: Characters of a request: a few dozen numbers.
_LONGEST = 20_000


@dataclass(frozen=True)
class Editing:
    """What a node worked on; ``edit`` takes its motion and widget values to the edited motion and the frame to show."""

    motion: Motion
    portrait: Portrait
    face_model: Managed
    edit: Callable[[Motion, dict[str, Any]], tuple[Motion, int]]


class LiveEdits:
    """The last executions by node id; redraws one frame at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, Editing] = {}
        self._lock = threading.Lock()

    def keep(self, node: str, editing: Editing) -> None:
        """Remember the execution of ``node``."""
        self._kept.pop(node, None)
        self._kept[node] = editing
        while len(self._kept) > MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))

    def redraw(self, node: str, values: dict[str, Any]) -> str:
        """The frame under ``values`` as a JPEG in a ``data:`` address. Raises UserError for unknown nodes or values."""
        editing = self._kept.get(node)
        if editing is None:
            raise UserError("Run the graph once with a portrait and a face model connected to see the frame here.")
        motion, frame = editing.edit(editing.motion, values)
        with self._lock, loaded(editing.face_model) as (face,):
            picture = next(iter(render(face, editing.portrait, motion[frame : frame + 1])))[0]
        out = io.BytesIO()
        Image.fromarray(picture.cpu().numpy()).save(out, "JPEG", quality=QUALITY)
        return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


#: Of this process.
LIVE = LiveEdits()


def add_route() -> None:
    """Let ComfyUI's server answer ROUTE."""
    from server import PromptServer

    server = PromptServer.instance
    routes = getattr(server, "routes", None)
    if routes is None:
        return
    from aiohttp import web

    @routes.post(ROUTE)
    async def answer(request: Any) -> Any:
        if server.prompt_queue.get_tasks_remaining():
            return web.json_response({"said": "A graph is running.", "busy": True})
        if (request.content_length or 0) > _LONGEST:
            return web.json_response({"said": "The request is too long."}, status=413)
        try:
            asked = await request.json()
            node, values = str(asked["node"]), dict(asked["values"])
        except (ValueError, KeyError, TypeError):
            return web.json_response({"said": "The request names no node and values."}, status=400)
        try:
            image = await asyncio.get_running_loop().run_in_executor(None, LIVE.redraw, node, values)
        except UserError as refusal:  # no error of the page: the graph may not have run yet
            return web.json_response({"said": str(refusal)})
        return web.json_response({"image": image})
