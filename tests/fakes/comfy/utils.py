"""A progress bar that remembers what it was told."""

from __future__ import annotations

from typing import Any

told: list[tuple[int, int, Any]] = []


class ProgressBar:
    def __init__(self, total: int):
        self.total = total

    def update_absolute(self, value: int, total: int, preview: Any = None) -> None:
        told.append((value, total, preview))
