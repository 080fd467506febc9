"""The steps of `prepare` one by one, against answers that are known beforehand."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from prepare_results import LIMITS
from prepare_videos import marks

from playmate_core.errors import UserError
from training.prepare.config import PrepareConfig, make_plan
from training.prepare.corpus import HELD_OUT, Judged, split_of
from training.prepare.engine import _start_ray
from training.prepare.entry import Entry, Item
from training.prepare.filters import TESTS, Limits, reason_against
from training.prepare.steps import apply
from training.prepare.store import Result, Store
from training.prepare.summary import histograms


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"seconds": 2.9}, "short"),
        ({"peak": 1e-4}, "silent"),
        ({"vad": 0.39}, "little_speech"),
        ({"snr": -1.0}, "noisy"),
        ({"others": 0.06}, "several_faces"),
        ({"coverage": 0.94}, "face_lost"),
        ({"coverage": 0.99, "gap": 6.0}, "face_lost"),
        ({"face_px": 159.0}, "small_face"),
        ({"face_share": 0.39}, "face_share"),
        ({"face_share": 0.81}, "face_share"),
        ({"frozen": 0.6}, "frozen"),
        ({"blur": 14.0}, "blurred"),
        ({"yaw_max": 61.0}, "turned_away"),
        ({"pitch_max": 41.0}, "turned_away"),
        ({"turn_p95": 151.0}, "fast_turn"),
        ({"sync_off": -7.0}, "out_of_sync"),
        ({"sync_c": 2.9}, "no_sync"),
        ({"sync_e": 0.24}, "no_sync"),
        ({"z": 12.5}, "unstable_motion"),
        ({"jump": 6.5}, "unstable_motion"),
    ],
)
def test_each_limit_has_a_reason(scores: dict[str, float], reason: str) -> None:
    assert reason_against(scores, Limits()) == reason
    assert reason in {name for name, _ in TESTS}


def test_what_is_within_the_limits_or_not_measured_passes() -> None:
    good = {
        **{"seconds": 3.0, "peak": 0.1, "vad": 0.4, "snr": 0.0, "others": 0.05, "coverage": 0.95, "gap": 5.0},
        **{"face_px": 160.0, "face_share": 0.45, "frozen": 0.5, "blur": 15.0, "yaw_max": 60.0, "pitch_max": 40.0},
        **{"turn_p95": 150.0, "sync_off": 6.0, "sync_c": 3.0, "sync_e": 0.25, "z": 12.0, "jump": 6.0},
    }
    assert reason_against(good, Limits()) == "" and reason_against({}, Limits()) == ""


def test_splits_depend_on_the_speaker_alone_and_hold_a_part_out() -> None:
    names = [split_of(f"speaker {k}") for k in range(3600)]
    assert names == [split_of(f"speaker {k}") for k in range(3600)]
    for held in ("val", "test"):
        assert names.count(held) == pytest.approx(3600 / HELD_OUT, rel=0.2)


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
@pytest.mark.filterwarnings("error")
def test_histograms_of_one_value_and_of_nothing_are_drawn() -> None:
    scores = {"face_px": 104.7, "vad": 0.4, "yaw_p95": 3.0}
    clips = [Judged(Item(Entry("a", "a", "s", "mine"), scores=scores, reason=reason), "train") for reason in ("", "x")]
    pictures = [histograms(some, Limits()) for some in (clips, clips[:1], [])]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures) and len(set(pictures)) == 3


class Counting:
    """A step that counts how often it really runs."""

    name, version, gpu = "counting", 1, False

    def __init__(self, problem: Exception | None = None) -> None:
        self.runs, self.problem = 0, problem

    def inputs(self, item: Item) -> list[Any]:
        return [item.entry.name]

    def run(self, item: Item, store: Store) -> list[Result]:
        self.runs += 1
        if self.problem:
            raise self.problem
        return [Result(scores={"vad": 0.5}, files={"txt": b"kept"})]


def test_a_step_runs_once_for_a_key_and_again_for_another_version(tmp_path: Path) -> None:
    step, store, item = Counting(), Store(tmp_path), Item(Entry("a", "a.mp4", "s", "mine"))
    first = apply(step, item, store, LIMITS, tmp_path)[0]
    assert apply(step, item, store, LIMITS, tmp_path) == [first] and step.runs == 1
    assert store.file(first.keys["counting"], "txt").read_bytes() == b"kept"
    store.file(first.keys["counting"], "json").write_text("[{")  # a disk that lost the end of a file
    assert apply(step, item, store, LIMITS, tmp_path) == [first] and step.runs == 2
    step.version = 2
    apply(step, item, store, LIMITS, tmp_path)
    assert step.runs == 3
    assert apply(step, item, store, Limits(speech=0.6), tmp_path)[0].reason == "little_speech" and step.runs == 3


def test_a_bad_file_is_remembered_and_an_accident_is_not(tmp_path: Path) -> None:
    item, store = Item(Entry("a", "a.mp4", "s", "mine")), Store(tmp_path / "store")
    bad = Counting(UserError(f"{tmp_path}/a.mp4 is damaged."))
    for _ in range(2):
        found = apply(bad, item, store, LIMITS, tmp_path)[0]
        assert (found.reason, found.detail) == ("unreadable", "a.mp4 is damaged.") and bad.runs == 1
    accident = Counting(RuntimeError("a net has fallen over"))
    accident.version = 2
    for _ in range(2):
        assert apply(accident, item, store, LIMITS, tmp_path)[0].reason == "failed"
    assert accident.runs == 2
    assert apply(accident, item.rejected("short"), store, LIMITS, tmp_path)[0].reason == "short" and accident.runs == 2


def test_a_plan_means_the_same_folders_to_a_process_that_stands_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = make_plan(PrepareConfig("videos", "plain", "data", device="cpu"), marks)
    assert (plan.root, plan.store.parent) == (tmp_path / "videos", tmp_path / "data")
    assert all(getattr(step, "root", plan.root) == plan.root for step in plan.steps)


def test_a_cluster_that_does_not_answer_is_said_with_its_address() -> None:
    class Deaf:
        @staticmethod
        def init(**_: Any) -> None:
            raise ConnectionError("Failed to connect to Ray cluster")

    with pytest.raises(UserError, match="at --ray-address head:6379 .*RAY_AUTH_MODE"):
        _start_ray(Deaf, 1, "head:6379")
