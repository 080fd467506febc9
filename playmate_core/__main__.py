"""``python -m playmate_core``: the same as ``playmate``."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; returns the exit code. Also handles Ctrl-C while the packages are being imported."""
    # OpenMP reads this once, when torch is imported. Spinning worker threads made the demo ten times slower on a
    # two-core machine whose second core was busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from .cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write("playmate: stopped; nothing was left behind.\n")
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
