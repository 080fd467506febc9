"""What to tell somebody whose device is too small for a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from playmate_core.errors import UserError

#: Fields whose value decides how much memory a step takes, the first the one to lower first.
SIZES = ("batch", "draw_size", "look_size")


@contextmanager
def naming_memory_flags(config: Any, step: int) -> Iterator[None]:
    """Turn an out-of-memory into a UserError that says which flags to lower, and from what."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as problem:
        raise _refused(config, step, problem) from problem
    except RuntimeError as problem:
        if "can't allocate memory" not in str(problem):  # the CPU's allocator has no class of its own
            raise
        raise _refused(config, step, problem) from problem


def _refused(config: Any, step: int, problem: BaseException) -> UserError:
    flags = [f"--{name.replace('_', '-')} (now {getattr(config, name)})" for name in SIZES if hasattr(config, name)]
    said = str(problem).strip().split("\n")[0] or type(problem).__name__
    more = "" if getattr(config, "mixed_precision", "bf16") == "bf16" else ", or give --mixed-precision bf16"
    return UserError(
        f"Step {step} needs more memory than there is ({said}); lower {' or '.join(flags) or 'the sizes of the model'}"
        f"{more}. Another batch size is another run: give another --out, or start anew."
    )
