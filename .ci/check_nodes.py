"""The type check of nodes/, which are modules of a package only where ComfyUI has loaded them as one.

``python .ci/check_nodes.py``. Their relative imports reach above nodes/, and the repository's folder may have any name:
mypy is shown a copy of nodes/ and playmate_core/ inside a package of a name of its own. ComfyUI's modules are unknown
to it, ours are not.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from mypy import api

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / ".mypy_cache" / "pack"


def main() -> int:
    """What mypy says, with the files named as they are in the repository; its exit code."""
    package = COPY / "playmate_pack"
    shutil.rmtree(package, ignore_errors=True)
    only_code = shutil.ignore_patterns("*.png", "*.md", "bundled", "__pycache__")
    for room in ("nodes", "playmate_core"):
        shutil.copytree(ROOT / room, package / room, ignore=only_code)
    os.environ["MYPYPATH"] = str(COPY)
    os.chdir(ROOT)
    said, problems, code = api.run(["-p", "playmate_pack.nodes"])
    sys.stdout.write(said.replace(f"{package.relative_to(ROOT)}{os.sep}", ""))
    sys.stderr.write(problems)
    return code


if __name__ == "__main__":
    sys.exit(main())
