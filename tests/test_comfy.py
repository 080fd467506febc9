"""On a real ComfyUI: every workflow runs, stops, runs again without computing, refuses mistakes and opens in the page.

Set COMFYUI_PATH (a checkout) and COMFYUI_PYTHON (the Python that has its requirements), then
``python -m pytest -m slow tests/test_comfy.py``. Faces are tiny and random; what moves them is the bundled motion model
wherever a test looks at motion.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from comfy_graphs import WHOLE, graph, moved, node, only, refusal
from comfy_server import COMFY, PYTHON, ROOT, SECONDS, ComfyServer, Ended, Prompt

from playmate_core.media.audio_files import read_sound
from playmate_core.media.video_reader import has_sound, video_facts
from playmate_core.values import LIP_KEYPOINTS

API = sorted((ROOT / "workflows" / "api").glob("*.json"))


#: The bundled motion and emotion models, which have learned something.
LEARNED = {"PlaymateLoadMotionModel.file": "Playmate demo (bundled)"}


LEARNED["PlaymateLoadMotionModel.emotion"] = LEARNED["PlaymateLoadMotionModel.file"]


#: Seconds of computing within which Cancel is heard, the next node not begun and the file gone.
HEARD = 0.5


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (COMFY and PYTHON), reason="COMFYUI_PATH and COMFYUI_PYTHON name no ComfyUI"),
]


@pytest.mark.parametrize("name", [path.stem for path in API])
def test_a_workflow_runs_and_its_video_is_whole(comfy: ComfyServer, name: str) -> None:
    ended = comfy.run(graph(name))
    assert ended.status == "success", ended
    videos = comfy.all_saved(ended, ".mp4")
    assert len(videos) == (2 if name == "one_motion_many_portraits" else 1)
    video, facts = videos[-1], video_facts(videos[-1])
    if name in ("video_driven", "one_motion_many_portraits"):
        assert facts.frames == 75
        return
    if name in ("dialogue", "two_faces_in_one_picture"):
        assert (facts.frames, facts.width) == (131, 2 * facts.height) and has_sound(video)
        return
    assert (facts.frames, facts.fps) == (math.ceil(SECONDS * 25), 25.0)
    assert read_sound(video, rate=None).waveform.size / read_sound(video, rate=None).rate == pytest.approx(
        SECONDS, abs=0.1
    )


def test_emotions_move_the_face_differently(comfy: ComfyServer) -> None:
    takes = [
        moved(comfy, only(graph("talk", {**LEARNED, "PlaymateEmotion.emotion": name}), "PlaymateSampleMotion", name))
        for name in ("happy", "angry", "happy")
    ]
    happy, angry, again = (take.expression for take in takes)
    assert float((happy - angry).abs().max()) > 1e-3
    assert torch.equal(happy, again)


def test_the_still_head_is_still_and_only_its_lips_move(comfy: ComfyServer) -> None:
    motion = moved(comfy, only(graph("still_head_lips_only", LEARNED), "PlaymateApplyPose", "still"))
    for track in (motion.pose.rotation, motion.pose.translation, motion.pose.scale):
        assert float((track - track[0]).abs().max()) < 1e-5
    lips = set(LIP_KEYPOINTS)
    others = [k for k in range(motion.expression.shape[1]) if k not in lips]
    moves = (motion.expression - motion.expression[0]).abs().amax(dim=(0, 2))
    assert float(moves[sorted(lips)].max()) > 1e-3 and float(moves[others].max()) < 1e-5


def test_a_motion_of_another_rate_is_gone_on_from(comfy: ComfyServer) -> None:
    """Mismatched rates are no mistake: a video of 30 frames a second lends its motion to speech at 25."""
    slow = graph("talk", LEARNED)
    film = {"images": [node(slow, "LoadImage"), 0], "fps": 30.0}
    slow["film"] = {"class_type": "CreateVideo", "inputs": film}
    driven: dict[str, Any] = graph("video_driven")[node(graph("video_driven"), "PlaymateMotionFromVideo")]["inputs"]
    wires = {"video": ["film", 0], "face_model": [node(slow, "PlaymateLoadFaceModel"), 0], "crop": "whole"}
    wires["portrait"] = [node(slow, "PlaymateEncodePortrait"), 0]
    slow["before"] = {"class_type": "PlaymateMotionFromVideo", "inputs": {**driven, **wires}}
    sample = node(slow, "PlaymateSampleMotion")
    slow[sample]["inputs"]["previous"] = ["before", 0]
    assert moved(comfy, only(slow, "PlaymateSampleMotion", "after")).fps == 25.0


def test_nothing_is_computed_twice(comfy: ComfyServer, comfy_models: Path) -> None:
    shutil.copy(comfy_models / "playmate" / "tiny_face.safetensors", comfy_models / "playmate" / "changing.safetensors")
    mine = {"PlaymateLoadFaceModel.file": "changing.safetensors", "PlaymateEncodeAudio.duration": 0.24}
    first = graph("talk", mine)
    assert {"PlaymateLoadFaceModel", "PlaymateSampleMotion"} <= comfy.run(first).ran(first)
    assert comfy.run(first).ran(first) == set()
    other = graph("talk", {**mine, "PlaymateSampleMotion.seed": 5})
    from_the_sampler_on = {"PlaymateSampleMotion", "PlaymatePlotMotion", "PreviewImage", "PlaymateRenderToVideo"}
    assert comfy.run(other).ran(other) == from_the_sampler_on
    file = comfy_models / "playmate" / "changing.safetensors"
    os.utime(file, ns=(file.stat().st_mtime_ns + 10**9,) * 2)
    assert {"PlaymateLoadFaceModel", "PlaymateEncodePortrait", "PlaymateRenderToVideo"} <= comfy.run(other).ran(other)


def cancelled(comfy: ComfyServer, prompt: Prompt) -> tuple[Ended, float]:
    """Cancel what runs; how it ended, and the seconds of computing until then."""
    spent = comfy.cpu_seconds()
    comfy.get("/interrupt", {})
    return comfy.end(prompt), comfy.cpu_seconds() - spent


def until(done: Any, what: str) -> None:
    last = time.monotonic() + 120
    while not done():
        assert time.monotonic() < last, what
        time.sleep(0.02)


def test_cancel_stops_sampling_and_the_next_job_runs(comfy: ComfyServer) -> None:
    quick = graph("talk", {**WHOLE, "PlaymateEncodeAudio.duration": 1.0})
    assert comfy.run(quick).status == "success"
    threads, files = comfy.process.num_threads(), comfy.files()
    begun = comfy.begin(
        graph("talk", {**WHOLE, "PlaymateEncodeAudio.duration": 1.0, "PlaymateSampleMotion.steps": 1000})
    )
    at = comfy.cpu_seconds()
    until(lambda: comfy.cpu_seconds() > at + 1.0, "the sampler does not compute")
    ended, seconds = cancelled(comfy, str(begun))
    assert ended.status == "stopped" and seconds < HEARD
    assert comfy.files() == files
    until(lambda: comfy.process.num_threads() <= threads, "a thread was left behind")
    assert comfy.run(graph("talk", {"PlaymateSampleMotion.seed": 77})).status == "success"


def test_cancel_while_drawing_leaves_no_half_file(comfy: ComfyServer) -> None:
    long = {**WHOLE, "PlaymateRenderToVideo.batch": 1}
    assert comfy.run(graph("talk")).status == "success"
    threads, files = comfy.process.num_threads(), comfy.files()
    begun = comfy.begin(graph("talk", long))
    until(lambda: comfy.files() != files, "no file was begun")
    ended, seconds = cancelled(comfy, str(begun))
    assert ended.status == "stopped" and seconds < HEARD
    assert comfy.files() == files
    until(lambda: comfy.process.num_threads() <= threads, "a thread was left behind")
    assert comfy.run(graph("talk", {"PlaymateSampleMotion.seed": 78})).status == "success"


def test_cancel_while_reading_a_film_and_while_pasting_back(comfy: ComfyServer) -> None:
    film = graph("video_driven", {"PlaymateLoadFaceModel.file": "Playmate demo (bundled)"})
    pasted = graph("paste_back", {**WHOLE, "PlaymateEncodeAudio.duration": 0.0})
    for prompt in (film, pasted):
        begun, at = comfy.begin(prompt), comfy.cpu_seconds()
        until(lambda at=at: comfy.cpu_seconds() > at + 2.5, "nothing is computed")
        ended, seconds = cancelled(comfy, str(begun))
        # Of the processor: decoding or pasting goes on beside drawing, on two cores half of it has passed.
        assert ended.status == "stopped" and seconds < 2 * HEARD
    assert comfy.run(graph("talk", {"PlaymateSampleMotion.seed": 79})).status == "success"


CASES = json.loads((ROOT / "tests" / "data" / "comfy_errors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"].replace(" ", "_"))
def test_a_mistake_is_answered_with_one_sentence(comfy: ComfyServer, case: dict[str, Any]) -> None:
    prompt = graph(Path(case["workflow"]).stem, case.get("set"))
    for key in case.get("unset", []):
        kind, _, field = key.partition(".")
        del prompt[node(prompt, kind)]["inputs"][field]
    said = refusal(comfy.run(prompt), case["expect"]["node"])
    assert re.search(case["expect"]["message"], said, re.IGNORECASE), said


def test_empty_audio_and_a_batch_of_portraits_are_refused(comfy: ComfyServer) -> None:
    silent = graph("talk")
    silent["nothing"] = {"class_type": "EmptyAudio", "inputs": {"duration": 0.0, "sample_rate": 16000, "channels": 1}}
    silent[node(silent, "PlaymateEncodeAudio")]["inputs"]["audio"] = ["nothing", 0]
    assert "empty" in refusal(comfy.run(silent), "PlaymateEncodeAudio")
    crowd = graph("talk")
    twice = {"image": [node(crowd, "LoadImage"), 0], "amount": 2}
    crowd["crowd"] = {"class_type": "RepeatImageBatch", "inputs": twice}
    crowd[node(crowd, "PlaymateCropPortrait")]["inputs"]["image"] = ["crowd", 0]
    assert "2 pictures" in refusal(comfy.run(crowd), "PlaymateCropPortrait")


def test_the_pack_is_imported_quickly_and_a_model_moved_in_part_is_whole(tmp_path: Path) -> None:
    """--lowvram and --novram refuse to run beside --cpu: ComfyUI's own loading is shown a card that holds nothing.

    Unloading and running out of memory are shown on the processor.
    """
    words = [PYTHON, str(ROOT / "tests" / "comfy_inside.py")]
    kept = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=COMFY, env=kept, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["imported"] < 0.5
    assert told["places"] == {"LOW_VRAM": [["meta"]] * 3, "NO_VRAM": [["cpu"], ["meta"], ["cpu"]]}
    assert told["hooks"] == 0
    assert told["counts"] == [1, 0, 1, 0] and told["same"] and told["gone"]
    assert (told["frames"], told["never"]) == (5, "out of memory"), "smaller batches first, then ComfyUI's own way"


def test_a_server_writes_nothing_but_its_timed_trial_into_the_home_folder(comfy: ComfyServer) -> None:
    written = [path for path in (comfy.base / "home").rglob("*") if path.is_file()]
    assert [path for path in written if path.parts[-3:] != (".cache", "playmate", "trials.json")] == []
