"""How slow functions tell how far they are, and how they are cancelled: by an exception from the callback."""

from __future__ import annotations

from collections.abc import Callable

#: Told how many steps are done, and their number; may raise to cancel.
Progress = Callable[[int, int], None]
#: Told the stage, the steps done in it, and their number; may raise to cancel.
StageProgress = Callable[[str, int, int], None]
