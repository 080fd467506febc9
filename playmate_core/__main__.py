"""``python -m playmate_core``: the same as ``playmate``."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; Ctrl-C while the packages are still being loaded gets its sentence too."""
    # OpenMP reads this once, when torch is loaded. Threads that spin while they wait made the demo ten times slower
    # on two cores of which another program had one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from .cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("playmate: stopped; nothing was left behind.\n")
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
