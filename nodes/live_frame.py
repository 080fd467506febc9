"""The newest frame of a node that ends with a video, while it renders.

A live preview of ComfyUI's own (``ProgressBar`` with a picture) stays in the page's store after the node has ended, and
there it comes before the node's output: the page then loads the last JPEG as if it were the video (frontends 1.27 to
1.58 all do, no node of ComfyUI's own has both). So the page gets a message, which web/live_frame.js shows in a
widget and takes away when the node ends. Other clients still get ComfyUI's own previews.
"""

from __future__ import annotations

import base64
import io
import time

from PIL import Image

EVENT = "playmate.live_frame"
#: Longest side in pixels and seconds between two: as ComfyUI's previews, and as often as is useful to watch.
SIDE, INTERVAL, QUALITY = 512, 0.1, 85


class LiveFrames:
    """Where the frames of the node that is running now can be sent."""

    def __init__(self) -> None:
        self._last = -INTERVAL

    def send(self, picture: Image.Image) -> bool:
        """Show ``picture`` on the node; False where the client is no page and wants ComfyUI's own previews."""
        from comfy_api import feature_flags
        from comfy_execution.utils import get_executing_context
        from server import PromptServer

        server, context = getattr(PromptServer, "instance", None), get_executing_context()
        if server is None or context is None or server.client_id is None:
            return False
        if not feature_flags.supports_feature(server.sockets_metadata, server.client_id, "supports_preview_metadata"):
            return False
        now = time.monotonic()
        if now - self._last >= INTERVAL:
            self._last = now
            event = {"node": context.node_id, "prompt_id": context.prompt_id, "image": _data_url(picture)}
            server.send_sync(EVENT, event, server.client_id)
        return True


def _data_url(picture: Image.Image) -> str:
    """JPEG in a ``data:`` address, which the page may show under the strictest policy that the server sets."""
    small, out = picture.copy(), io.BytesIO()
    small.thumbnail((SIDE, SIDE))
    small.save(out, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
