"""A small corpus to prepare, and the one that was prepared of it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from prepare_corpora import CORPORA, Answers
from prepare_videos import marks

from training.prepare import PrepareConfig, prepare
from training.prepare.filters import Limits

MISSING = [name for name in ("scenedetect", "silero_vad", "pyarrow", "matplotlib", "numba") if find_spec(name) is None]


ROOT = Path(__file__).resolve().parent.parent


#: The drawn heads are small, to be drawn quickly; everything else is as shipped.
LIMITS = Limits(face_px=60)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Answers]]:
    """Every layout, its videos drawn and prepared once."""
    torch.set_num_threads(1)
    root, made = tmp_path_factory.mktemp("prepare"), {}
    for name, make in CORPORA.items():
        source = root / name / "source"
        answers = make(source)
        labels = root / name / "labels.csv"
        workers = 2 if name == "plain" else 1  # a worker's start costs more than two videos
        config = PrepareConfig(str(source), name, str(root / name / "data"), limits=LIMITS, workers=workers)
        prepare(replace(config, labels=str(labels) if labels.is_file() else ""), marks)
        made[name] = (root / name / "data", answers)
    return made


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from pathlib import Path
from prepare_results import config_for
from prepare_videos import marks
from training.prepare import prepare
if __name__ == "__main__":
    prepare(config_for(Path({source!r}), Path({out!r})), marks)
"""


def start(source: Path, out: Path, script: Path) -> subprocess.Popen[bytes]:
    """The same command in a process that can be killed."""
    script.write_text(
        SCRIPT.format(tests=str(ROOT / "tests"), root=str(ROOT), source=str(source), out=str(out)), encoding="utf-8"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    return subprocess.Popen([sys.executable, str(script)], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def config_for(source: Path, out: Path, **changes: Any) -> PrepareConfig:
    return replace(PrepareConfig(str(source), "plain", str(out), limits=LIMITS), **changes)
