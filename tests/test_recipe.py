"""The recipe of docs/training.md from its first line to its last, every run cut to a few steps, in a project's copy."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: What makes each verb short; a flag given twice counts the second time.
SHORT = {
    "corpus": "--clips 54 --sessions 18 --judges 4 --shortest 2 --longest 3 --frames-per-session 6 --speech formant",
    "reading": "--steps 2 --batch 2",
    "face": "--steps 2 --batch 2 --probe-steps 2",
    "stage1": "--steps 2 --batch 4",
    "stage2": "--steps 2 --batch 4",
}


def recipe() -> list[list[str]]:
    """The commands of the page's first chapter, as words."""
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    chapter = page.split("## Train everything", 1)[1].split("\n## ", 1)[0]
    lines = re.search(r"```\n(.*?)```", chapter, re.DOTALL)
    assert lines is not None
    return [shlex.split(line) for line in lines[1].splitlines()]


def test_the_recipe_names_every_stage_in_order() -> None:
    verbs = [words[3] for words in recipe()]
    order = ("corpus", "reading", "face", "stage1", "stage2", "bundle", "driving", "figures", "thumbnails")
    assert list(dict.fromkeys(verbs)) == list(order)
    made = {words[i + 1] for words in recipe() for i, word in enumerate(words) if word == "--out"}
    used = {
        str(Path(word).parent) for words in recipe() for word in words if word.endswith(".safetensors") and "/" in word
    }
    assert {one.removesuffix("/probe") for one in used} <= made  # nothing is taken that no line before it made


@pytest.mark.slow
def test_the_recipe_runs_from_end_to_end(tmp_path: Path) -> None:
    kept = shutil.ignore_patterns(".git", ".venv", "data", "runs", "*.egg-info", "__pycache__", ".*_cache")
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, ignore=kept)
    before = {path.name: path.read_bytes() for path in (project / "playmate_core" / "bundled").iterdir()}
    for words in recipe():
        short = shlex.split(SHORT.get(words[3], ""))
        if "--sessions" in words and words[words.index("--sessions") + 1] == "0":  # the judge's people alone
            short = shlex.split("--judges 4 --frames-per-session 6 --speech formant")
        run = subprocess.run(
            [sys.executable, *words[1:], *short], cwd=project, capture_output=True, text=True, timeout=900, check=False
        )
        assert run.returncode == 0, (words, run.stderr[-3000:])
    after = {path.name: path.read_bytes() for path in (project / "playmate_core" / "bundled").iterdir()}
    changed = {name for name, blob in after.items() if before.get(name) != blob}
    assert {"face.safetensors", "motion.safetensors", "emotion.safetensors"} <= changed
    bundled = "playmate_core/bundled"  # what M learned in two steps recognises no face yet
    talk = f"-m playmate_core talk {bundled}/portrait.png {bundled}/speech.wav -o out.mp4 --any-picture"
    run = subprocess.run(
        [sys.executable, *shlex.split(talk)], cwd=project, capture_output=True, text=True, timeout=900, check=False
    )
    assert run.returncode == 0 and (project / "out.mp4").stat().st_size > 0, run.stderr[-3000:]
