"""Preparing: killed, resumed, shared between workers, refused."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prepare_corpora import Answers
from prepare_results import (
    MISSING,
    ROOT,
    config_for,
    prepared,  # noqa: F401
    start,
)
from prepare_videos import drawn, marks, voice_of, write_video

import training.prepare
from playmate_core.errors import UserError
from training.prepare import main, prepare
from training.prepare.engine import Plan
from training.prepare.manifest import read_manifest
from training.prepare.steps import Step
from training.prepared import members, prepared_shards, read_shards

#: Four minutes of videos; the single steps and the layouts are tested in every run.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"{', '.join(MISSING)} not installed: pip install 'playmate-portrait[train]'"
    ),
]


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos, one of them with two shots, one broken."""
    root = tmp_path_factory.mktemp("few") / "source"
    write_video(root / "a.mp4", drawn(0), voice_of(0))
    write_video(root / "b.mp4", [*drawn(1), *drawn(2)], np.concatenate([voice_of(1), voice_of(2)]))
    write_video(root / "c.mp4", drawn(3), voice_of(3))
    (root / "d.mp4").write_bytes((root / "a.mp4").read_bytes()[:5000])
    return root


def digest(out: Path) -> dict[str, str]:
    """The hash of everything a corpus consists of."""
    names = [*sorted(path.name for path in out.glob("*.tar")), "manifest.parquet", "summary.json", "corpus.json"]
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="session")
def undisturbed(few: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By one worker, in one go."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert prepare(config_for(few, out, workers=1), marks).kept == 4
    return digest(out)


def results(out: Path) -> int:
    return len(list((out / "work").rglob("*.json")))


def test_killed_at_three_points_and_resumed_by_two_workers(
    few: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "data"
    for goal in (3, 12, 20):
        process = start(few, out, tmp_path / "run.py")
        try:
            wait_until(lambda: results(out) >= goal or process.poll() is not None)  # noqa: B023
            assert process.poll() is None, "it ended before it could be killed"
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        wait_until(lambda: not alive(tmp_path / "run.py"))
        assert not (out / "manifest.parquet").exists()
    prepare(config_for(few, out, workers=2), marks)
    assert digest(out) == undisturbed


def wait_until(true: Any, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def alive(script: Path) -> list[int]:
    """Workers of a killed command: they watch their parent and end."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or ())
        environment = "" if "spawn_main" not in line else _environment(process)
        if str(script) in line or str(script) in environment:
            found.append(process.info["pid"])
    return found


def _environment(process: Any) -> str:
    import psutil

    try:
        return " ".join(process.environ().values())
    except psutil.Error:
        return ""


@pytest.mark.slow
def test_ray_makes_the_same_corpus(few: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'playmate-portrait[cluster]'")
    prepare(config_for(few, tmp_path, engine="ray", workers=2), marks)
    assert digest(tmp_path) == undisturbed


class NotingPlan(Plan):
    """A plan that leaves a file in $NODES for every node that worked on it."""

    def process(self, items: Sequence[str], steps: Sequence[Step] | None = None) -> list[str]:
        import ray

        Path(os.environ["NODES"], ray.get_runtime_context().get_node_id()).touch()
        return super().process(items, steps)


@pytest.mark.slow
def test_ray_on_two_nodes_makes_the_same_corpus_of_relative_paths(
    few: Path, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One CPU each, so that one holds M and the other has to do the rest; the nodes' processes stand elsewhere."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'playmate-portrait[cluster]'")
    from ray.cluster_utils import Cluster

    made = training.prepare.make_plan
    monkeypatch.setattr(training.prepare, "make_plan", lambda *given: NotingPlan(**vars(made(*given))))
    (tmp_path / "nodes").mkdir()
    monkeypatch.setenv("NODES", str(tmp_path / "nodes"))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    small: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 150_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        cluster.add_node(**small)
        monkeypatch.chdir(tmp_path)
        source, out = Path(os.path.relpath(few)), Path("data")
        prepare(config_for(source, out, engine="ray", workers=2, ray_address=cluster.address), marks)
        assert not ray.is_initialized(), "the cluster is let go of"
        assert cluster.remaining_processes_alive(), "and it runs on"
    finally:
        cluster.shutdown()
    assert digest(tmp_path / "data") == undisturbed
    assert len(list((tmp_path / "nodes").iterdir())) == 2


def deadly() -> Any:
    """A detector that takes its process with it when it sees the video of two shots, and no other."""

    def detect(image: torch.Tensor) -> Any:
        from prepare_videos import find_marks

        if os.environ.get("DEADLY") and float(image[40:60, 10:30].mean()) == pytest.approx(
            float(os.environ["DEADLY"]), abs=1e-4
        ):
            os._exit(11)
        return find_marks(image)

    return detect


def test_a_video_that_kills_its_worker_costs_itself_only(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from playmate_core.media.images import from_bytes
    from playmate_core.media.video_reader import read_frames

    first = from_bytes(next(read_frames(few / "c.mp4")).picture)
    monkeypatch.setenv("DEADLY", str(float(first[40:60, 10:30].mean())))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    prepare(config_for(few, tmp_path, workers=2), deadly)
    reasons = {row["source"]: row["reason"] for row in read_manifest(tmp_path)}
    assert reasons == {"a.mp4": "", "b.mp4": "", "c.mp4": "crashed", "d.mp4": "unreadable"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give the folder of videos"),
        (["SOURCE", "--layout", "vox"], "--layout is 'vox', expected one of plain"),
        (["SOURCE", "--engine", "spark"], "--engine is 'spark', expected one of pool, ray"),
        (["SOURCE", "--workers", "0"], "--workers is 0"),
        (["SOURCE", "--pixels", "33"], "--pixels is 33"),
        (["SOURCE", "--limits-shortest", "20"], "cannot be cut"),
        (["SOURCE", "--syncnet", "nowhere.model", "--detector", "whole"], "no file at nowhere.model"),
        (["nowhere"], "nowhere is no folder"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(few: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    given = [str(few) if word == "SOURCE" else word for word in arguments]
    with pytest.raises(UserError, match=says):
        main([*given, "--out", str(tmp_path / "data")])
    assert not (tmp_path / "data").exists()


def test_a_folder_that_holds_another_corpus_is_refused(prepared: dict[str, tuple[Path, Answers]], few: Path) -> None:
    out, _ = prepared["mafw"]
    with pytest.raises(UserError, match="holds a corpus of the source"):
        prepare(config_for(few, out), marks)


def test_a_shard_that_is_damaged_is_named(prepared: dict[str, tuple[Path, Answers]], tmp_path: Path) -> None:
    shard = prepared_shards(prepared["plain"][0], "train")[0]
    copy = tmp_path / shard.name
    copy.write_bytes(b"no tar at all" * 100)
    with pytest.raises(UserError, match="cannot be read as a tar"):
        read_shards([copy])
    whole = bytearray(shard.read_bytes())
    at = next(iter(members(shard).values()))["json"].offset
    whole[at : at + 5] = b"?????"
    copy.write_bytes(bytes(whole))
    with pytest.raises(UserError, match="is damaged"):
        read_shards([copy])
