"""One node is always the one that runs."""

from types import SimpleNamespace


def get_executing_context() -> SimpleNamespace:
    return SimpleNamespace(prompt_id="prompt", node_id="1", list_index=None)
