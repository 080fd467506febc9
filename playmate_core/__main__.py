"""``python -m playmate_core``: the same as ``playmate``."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
