"""A server that remembers what it sent and which text it was told to show on which node."""

from __future__ import annotations

from typing import Any, ClassVar


class PromptServer:
    instance: ClassVar[PromptServer | None] = None

    def __init__(self, client_id: str | None = None, *features: str) -> None:
        self.client_id = client_id
        self.sockets_metadata = {client_id: {"feature_flags": dict.fromkeys(features, True)}}
        self.sent: list[tuple[str, dict[str, Any], str]] = []
        self.shown: list[tuple[str, str]] = []

    def send_sync(self, event: str, data: dict[str, Any], sid: str) -> None:
        self.sent.append((event, data, sid))

    def send_progress_text(self, text: str, node_id: str) -> None:
        self.shown.append((node_id, text))


PromptServer.instance = PromptServer()
