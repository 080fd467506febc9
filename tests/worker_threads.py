"""Threads of ours that should not outlive the work they were started for."""

from __future__ import annotations

import threading

#: Seconds after which a test gives up on something that never comes; far beyond what a busy machine takes.
PATIENCE = 600


def ours() -> set[str]:
    """The names of those that run now."""
    return {thread.name for thread in threading.enumerate()} & {"prefetch", "background consumer", "video encoder"}
