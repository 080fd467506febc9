"""On a real ComfyUI: every workflow runs, runs again, stops, refuses mistakes and, with Chromium, opens in the page.

Set COMFYUI_PATH (a checkout) and COMFYUI_PYTHON (the Python that has its requirements); the harness that drives the
server lies in ../shared/tools. The models are tiny and random, so this takes minutes, most of them imports.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HARNESS = Path(os.environ.get("PLAYMATE_HARNESS", ROOT.parent / "shared" / "tools" / "comfy_harness.py"))
COMFY, PYTHON = os.environ.get("COMFYUI_PATH", ""), os.environ.get("COMFYUI_PYTHON", "")
CHECKS = "load,nodes,workflows,run,served,requeue,interrupt,errors"
SETTINGS = {
    "PlaymateLoadFaceModel.file": '"tiny_face.safetensors"',
    "PlaymateLoadMotionModel.file": '"tiny_motion.safetensors"',
    "PlaymateLoadMotionModel.emotion": '"tiny_emotion.safetensors"',
    "PlaymateDemoMedia.seconds": "0.4",
    "PlaymateSampleMotion.steps": "2",
    "PlaymateEncodePortrait.require_face": "false",
    "PlaymateTalk.require_face": "false",
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (COMFY and PYTHON), reason="COMFYUI_PATH and COMFYUI_PYTHON name no ComfyUI"),
    pytest.mark.skipif(not HARNESS.is_file(), reason=f"the harness is not at {HARNESS}"),
]


def harness(models: Path, checks: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HARNESS), "--comfy", COMFY, "--python", PYTHON, "--pack", str(ROOT)]
    command += ["--name", "playmate-portrait", "--prefix", "Playmate", "--models", str(models), "--checks", checks]
    command += [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    return subprocess.run([*command, *more], capture_output=True, text=True, timeout=1800)


@pytest.fixture
def models(tmp_path: Path, tiny_face: Path, tiny_motion: Path, tiny_emotion: Path) -> Path:
    folder = tmp_path / "models" / "playmate"
    folder.mkdir(parents=True)
    for path in (tiny_face, tiny_motion, tiny_emotion):
        shutil.copy(path, folder / f"tiny_{path.name}")
    return folder.parent


def test_workflows_run_stop_and_refuse_mistakes(models: Path) -> None:
    errors = str(ROOT / "tests" / "data" / "comfy_errors.json")
    slow = "PlaymateSampleMotion.steps=900"
    done = harness(models, CHECKS, "--errors", errors, "--interrupt", "api/talk.json", "--interrupt-set", slow)
    assert done.returncode in (0, 1) and " 0 errors" in f" {done.stdout}", done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_page_opens_every_workflow(models: Path, tmp_path: Path) -> None:
    done = harness(models, "load,browser", "--shots", str(tmp_path))
    assert " 0 errors" in f" {done.stdout}", done.stdout + done.stderr
    assert list(tmp_path.glob("*.png"))
