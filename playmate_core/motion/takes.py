"""Several performances of one speech, to be looked at side by side and chosen from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..errors import UserError
from ..values import Motion


@dataclass(frozen=True)
class Take:
    """A performance and what it is called: its seed, or its emotion."""

    name: str
    motion: Motion


@dataclass(frozen=True)
class Takes:
    """One take or more."""

    takes: tuple[Take, ...]

    @staticmethod
    def one(motion: Motion) -> Takes:
        """A single take without a name."""
        return Takes((Take("", motion),))

    def __len__(self) -> int:
        return len(self.takes)

    def edited(self, edit: Callable[[Motion], Motion]) -> Takes:
        """The takes, each motion as ``edit`` makes it."""
        return Takes(tuple(replace(take, motion=edit(take.motion)) for take in self.takes))

    def picked(self, number: int) -> Take:
        """The take of a number, counted from 1. Raises UserError where there is none."""
        if not 1 <= number <= len(self.takes):
            raise UserError(f"There is no take {number}; please pick one from 1 to {len(self.takes)}.")
        return self.takes[number - 1]
