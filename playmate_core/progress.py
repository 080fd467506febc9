"""Progress callbacks of slow functions; raising in a callback cancels the work."""

from __future__ import annotations

from collections.abc import Callable

#: Called with (steps done, total steps); may raise to cancel.
Progress = Callable[[int, int], None]
#: Called with (stage, steps done in it, its total steps); may raise to cancel.
StageProgress = Callable[[str, int, int], None]
