"""Which node runs; a test sets ``running``."""

from __future__ import annotations

from typing import NamedTuple


class ExecutionContext(NamedTuple):
    prompt_id: str
    node_id: str


running: ExecutionContext | None = ExecutionContext("prompt", "1")


def get_executing_context() -> ExecutionContext | None:
    return running
