"""Where the facts, media and models beside the project lie; tests that need them skip where they do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: Beside the checkout, or where PLAYMATE_SHARED says (a worktree has other neighbours).
SHARED = Path(os.environ.get("PLAYMATE_SHARED") or Path(__file__).resolve().parents[2] / "shared")
MESH = SHARED / "models" / "face_landmarker_v2_with_blendshapes.task"
MEDIA = SHARED / "media"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the facts beside the project are not at {SHARED}")
