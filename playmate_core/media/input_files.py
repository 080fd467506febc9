"""Check that an input file is readable; and array types of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, with_article

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def check_file(path: Path, what: str) -> None:
    """Raise UserError unless ``path`` is a readable, non-empty file; ``what`` names its role."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; please give {with_article(what)} file.")
        if str(path) == "-" and not path.exists() or path.exists() and not path.is_file():
            raise UserError(
                f"{path} is a pipe or a device, which can be read only once; please save it to"
                f" {with_article(what)} file."
            )
        with path.open("rb") as file:
            if not file.read(1):
                raise UserError(f"{path} is empty (0 bytes); please give {with_article(what)} file with content.")
    except FileNotFoundError:
        raise UserError(f"There is no {what} file at {path}; please check the path.") from None
    except OSError as problem:
        raise UserError(f"{path} cannot be read ({problem.strerror}); please check its permissions.") from problem
