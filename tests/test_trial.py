"""Which products and which profile are taken is measured once per machine, and kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from fast_faces import CONFIGS, lively, sitting

from playmate_core.face import FaceConfig
from playmate_core.face import fast as room
from playmate_core.face.fast import trial
from playmate_core.face.fast.products import BLAS, ONEDNN, PLANS, BatchedProducts
from playmate_core.face.fast.trial import Trial, run_trial, trial_file, trial_of


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """Trials are allowed, in a home of their own, and said to be this fast; the list tells of those that were made."""
    made: list[tuple[Any, ...]] = []

    def run(*asked: Any) -> Trial:
        made.append(asked)
        return Trial(0.3, (0.2, 0.15, 0.1))

    for name, value in ((trial.SWITCH, "1"), ("XDG_CACHE_HOME", str(tmp_path)), ("LOCALAPPDATA", str(tmp_path))):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(trial.platform, "system", lambda: "Linux")
    monkeypatch.setattr(trial, "run_trial", run)
    trial._known.cache_clear()
    yield made
    trial._known.cache_clear()


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize(("inside", "outside"), [(512, 256), (96, 48), (3, 5)])
def test_both_forms_multiply_alike(inside: int, outside: int, add: bool) -> None:
    random = torch.Generator().manual_seed(0)
    kernels, rows = (torch.randn(9, *size, generator=random) for size in ((inside, outside), (70, inside)))
    kernels /= inside**0.5
    before = torch.randn(9, 70, outside, generator=random)
    wanted = torch.bmm(rows.double(), kernels.double()) + (before.double() if add else 0)
    for form in (BLAS, ONEDNN):
        got = BatchedProducts(kernels, form).multiply(rows, before.clone(), add)
        assert (got.double() - wanted).abs().max() < 1e-5


@pytest.mark.parametrize("number", range(len(PLANS)))
def test_every_plan_draws_the_plain_pictures(number: int, trials: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a face wide enough for Winograd and FFT, in both profiles that have them."""
    seconds = [0.3] * len(PLANS)
    seconds[number] = 0.1
    monkeypatch.setattr(trial, "run_trial", lambda *_: Trial(0.3, tuple(seconds)))
    monkeypatch.setattr(room, "WORTH_TRANSFORMING", 1)
    face = lively(CONFIGS["wide mask"])
    with torch.inference_mode():
        inputs = sitting(face, 2)
        wanted = face.draw(*inputs)
        for profile in ("structure", "transforms"):
            made = room.build_fast_face(face, profile)
            assert made.generator is not face.generator and made.warping is not face.warping
            assert (made.draw(*inputs) - wanted).abs().max() < 1e-4


def test_a_trial_is_made_once_and_kept(trials: list[Any], tmp_path: Path) -> None:
    assert trial_of(64, 16, torch.float32) == trial_of(64, 16, torch.float32) == Trial(0.3, (0.2, 0.15, 0.1))
    trial._known.cache_clear()  # another process
    assert trial_of(64, 16, torch.float32).plan == PLANS[2] and len(trials) == 1  # type: ignore[union-attr]
    (name,) = json.loads(trial_file().read_text())
    assert trial_file().is_relative_to(tmp_path) and torch.__version__ in name and "64 channels, 16 pixels" in name
    trial_of(128, 16, torch.float32)
    assert len(trials) == 2 and len(json.loads(trial_file().read_text())) == 2
    for damaged in ("{", "[]", json.dumps({name: ["fast"]})):
        trial_file().write_text(damaged)
        trial._known.cache_clear()
        assert trial_of(64, 16, torch.float32) is not None
    assert len(trials) == 5


def test_a_home_that_cannot_be_written_is_no_error(trials: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    trial_file().parent.parent.mkdir(exist_ok=True)
    trial_file().parent.write_text("a file, no folder")
    assert trial_of(64, 16, torch.float32) is not None and len(trials) == 1


def test_tests_make_no_trial() -> None:
    assert trial_of(64, 16, torch.float32) is None


def test_auto_takes_what_was_faster_and_says_so(
    trials: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    face = lively(FaceConfig.tiny())
    monkeypatch.setattr(psutil, "virtual_memory", type("Memory", (), {"available": 1 << 40}))
    with caplog.at_level(logging.INFO):
        assert room.choose_profile(face) == "transforms" and "W and G: transforms" in caplog.text
        trial._known.cache_clear()
        trial_file().unlink()
        monkeypatch.setattr(trial, "run_trial", lambda *_: Trial(0.11, (0.1, 0.12, 0.13)))
        assert room.choose_profile(face) == "structure" and "1.10 times as fast" in caplog.text


def test_a_trial_times_every_plan() -> None:
    made = run_trial(16, 10, torch.float32)
    assert len(made.transformed) == len(PLANS) and made.direct > 0 and made.ratio > 0
