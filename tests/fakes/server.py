"""A server that remembers which text it was told to show on which node."""

from __future__ import annotations


class PromptServer:
    instance: PromptServer

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []

    def send_progress_text(self, text: str, node_id: str) -> None:
        self.shown.append((node_id, text))


PromptServer.instance = PromptServer()
