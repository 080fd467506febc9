"""Validation on held-out speakers, the best state kept, TensorBoard, and what is said where memory does not suffice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from child_process import PREAMBLE, TESTS
from torch import Tensor
from toy_stage import CONFIG, Interrupted, Toy, ToyBatch, assert_same

from playmate_core.errors import UserError
from playmate_core.weights import files as weights
from training import stage1, stage2
from training.data import write_clips
from training.loop import train
from training.objective import channel_mean
from training.perceptual import perceptual_distance
from training.stage import Scores
from training.synthetic.clips import make_clip

SMALL = ["--model-width", "32", "--model-layers", "1", "--model-window", "12", "--batch", "4", "--save-every", "2"]


class Judged(Toy):
    """Its scores are given; it notes the weights of each."""

    def __init__(self, scores: list[float], stop_at: int = -1) -> None:
        super().__init__(stop_at)
        self.scores, self.seen = scores, dict[int, Tensor]()
        self.step = 0

    def loss(self, batch: ToyBatch, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        self.step = step + 1
        return super().loss(batch, step, generator)

    def validate(self, device: torch.device) -> Scores:
        assert not self.net.training
        torch.rand(3)  # may not change what the run draws
        self.seen[self.step] = self.net.state_dict()["0.weight"].clone()
        score = self.scores[self.step // 5 - 1]
        return Scores(score, {"figure": -score})


SCORES = [1.0, 3.0, 2.0, 3.0, 2.5, 2.0, 1.0, 0.0]


def test_the_best_state_is_kept_beside_the_last_and_survives_an_interruption(tmp_path: Path) -> None:
    config = replace(CONFIG, validate_every=5)
    judged = Judged(SCORES)
    train(judged, config, tmp_path / "whole")
    best = torch.load(tmp_path / "whole" / "best" / "net.pt", weights_only=True)
    assert torch.equal(best["0.weight"], judged.seen[20])  # of two that are alike, the later
    lines = [json.loads(line) for line in (tmp_path / "whole" / "validation.jsonl").read_text().splitlines()]
    assert [(line["step"], line["score"], line["figure"]) for line in lines] == [
        (5 * (i + 1), score, -score) for i, score in enumerate(SCORES)
    ]
    train(Toy(), CONFIG, tmp_path / "plain")
    assert_same(tmp_path / "whole", tmp_path / "plain")  # measuring changes nothing

    with pytest.raises(Interrupted):
        train(Judged(SCORES, stop_at=27), config, tmp_path / "parts")
    train(Judged(SCORES), config, tmp_path / "parts")
    again = torch.load(tmp_path / "parts" / "best" / "net.pt", weights_only=True)
    assert torch.equal(best["0.weight"], again["0.weight"])
    assert (tmp_path / "parts" / "validation.jsonl").read_text() == (
        tmp_path / "whole" / "validation.jsonl"
    ).read_text()


def test_a_stage_without_validation_and_an_absent_package_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="toy has no validation"):
        train(Toy(), replace(CONFIG, validate_every=5), tmp_path)
    monkeypatch.setattr("training.loop.find_spec", lambda _: None)
    with pytest.raises(UserError, match="needs the package tensorboard, .*install it"):
        train(Toy(), replace(CONFIG, tensorboard=True), tmp_path)


@pytest.mark.skipif(not find_spec("tensorboard"), reason="tensorboard is not installed")
def test_tensorboard_has_the_numbers_of_the_log(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(CONFIG, tensorboard=True, validate_every=5)
    with pytest.raises(Interrupted):
        train(Judged(SCORES, stop_at=27), config, tmp_path)
    train(Judged(SCORES), config, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    told = events.Scalars("loss")
    assert [e.step for e in told] == [line["step"] for line in log]
    assert [e.value for e in told] == pytest.approx([line["loss"] for line in log])
    assert [e.value for e in events.Scalars("validation/score")] == pytest.approx(SCORES)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    for split, seeds in (("train", range(6)), ("val", range(3))):
        clips = [make_clip(seed, split, seconds=(2.0, 3.0), backend="formant") for seed in seeds]
        write_clips(root / f"{split}-clips-00000.safetensors", clips)
    return root


def test_both_stages_measure_held_out_speakers(corpus: Path, tmp_path: Path) -> None:
    every = ["--corpus", str(corpus), "--steps", "4", "--validate-every", "2", "--validate-clips", "2"]
    stage1.main([*every, *SMALL, "--out", str(tmp_path / "one")])
    lines = [json.loads(line) for line in (tmp_path / "one" / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    for line in lines:
        assert line["score"] == line["lip_correlation"] and -1.0 <= line["lip_correlation"] <= 1.0
        assert line["pose_jerk_over_truth"] > 0 and line["pose_std_over_truth"] > 0 and line["expression_offset"] > 0
    best = max(lines, key=lambda line: (line["score"], line["step"]))
    kept = weights.describe(tmp_path / "one" / "best" / "motion.safetensors")
    assert kept.training["step"] == best["step"]
    base = ["--base", str(tmp_path / "one" / "motion.safetensors"), "--batch", "4", "--model-width", "32"]
    stage2.main([*every, *base, "--out", str(tmp_path / "two")])
    lines = [json.loads(line) for line in (tmp_path / "two" / "validation.jsonl").read_text().splitlines()]
    assert [line["score"] for line in lines] == [-line["expression_offset"] for line in lines]
    assert (tmp_path / "two" / "best" / "emotion.safetensors").exists()


def test_nobody_held_out_is_refused_before_training(corpus: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    root.mkdir()
    (root / "train-clips-00000.safetensors").symlink_to(corpus / "train-clips-00000.safetensors")
    with pytest.raises(UserError, match="no val clips"):
        stage1.main(["--corpus", str(root), "--validate-every", "2", *SMALL, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


class Hungry(Toy):
    def __init__(self, problem: BaseException) -> None:
        super().__init__()
        self.problem = problem

    def loss(self, batch: ToyBatch, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        raise self.problem


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_out_of_memory_says_which_flag_to_lower(tmp_path: Path, problem: BaseException) -> None:
    config = stage1.Stage1Config(steps=2, batch=48)
    with pytest.raises(UserError, match=r"Step 0 needs more memory .*lower --batch \(now 48\), or give --mixed-prec"):
        train(Hungry(problem), config, tmp_path)
    with pytest.raises(RuntimeError, match="something else"):
        train(Hungry(RuntimeError("something else")), config, tmp_path)


def test_loss_terms_are_reduced_in_single_precision_under_bf16() -> None:
    square, weight = torch.rand(4, 30, 63), torch.rand(63)
    with torch.autocast("cpu", torch.bfloat16):
        assert (square @ weight).dtype == torch.bfloat16
        got = channel_mean(square, weight)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, (square.double() @ weight.double()).float(), atol=1e-5, rtol=1e-5)

    class Identity:
        def features(self, image: Tensor) -> list[Tensor]:
            return [image.bfloat16()]

    one = torch.rand(2, 3, 64, 64).bfloat16()
    two = (one.float() * 1.02).bfloat16()
    for norm, exact in (("l1", (one.double() - two.double()).abs().mean()), ("l2", _root(one, two))):
        distance = perceptual_distance(Identity(), one.float(), two.float(), norm)
        assert distance.dtype == torch.float32 and float(distance) == pytest.approx(float(exact), rel=1e-5)


def _root(one: Tensor, two: Tensor) -> Tensor:
    return ((one.double() - two.double()).square().mean() + 1e-8).sqrt()


def test_every_term_of_the_motion_stages_is_single_precision_under_bf16(corpus: Path, tmp_path: Path) -> None:
    config = stage1.parse(stage1.Stage1Config, ["--corpus", str(corpus), *SMALL, "--features", str(tmp_path)], "")
    stage = stage1.build(config, stage1.read_clips(config, config.model))
    generator = torch.Generator().manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        values = stage.loss(stage.batch(generator), 0, generator)
    assert {value.dtype for value in values.values()} == {torch.float32}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
def test_ctrl_c_leaves_nothing_half_written_and_no_worker_and_resumes_bit_for_bit(corpus: Path, tmp_path: Path) -> None:
    script = PREAMBLE + (
        "import os, signal, threading\n"
        "from training import stage1\n"
        "from training.__main__ import main\n"
        "real = stage1.Stage1.loss\n"
        "def loss(self, batch, step, generator):\n"
        "    if step == 5:\n"
        "        os.killpg(0, signal.SIGINT)\n"  # a terminal sends it to the workers as well
        "    return real(self, batch, step, generator)\n"
        "stage1.Stage1.loss = loss\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs of a shell ignore it
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["stage1", "--corpus", str(corpus), *SMALL, "--steps", "8", "--log-every", "3", "--features"]
    words += [str(tmp_path / "features")]
    out = ["--out", str(tmp_path / "parts"), "--workers", "2"]
    command = [sys.executable, "-c", script, *words, *out]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, start_new_session=True
    )
    assert done.returncode == 130 and "the same command goes on" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("**/*.part"))
    assert torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["step"] == 4
    stage1.main([*words[1:], *out])
    stage1.main([*words[1:], "--out", str(tmp_path / "whole")])
    runs = [torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("parts", "whole")]
    for key, value in runs[0]["modules"]["denoiser"].items():
        assert torch.equal(value, runs[1]["modules"]["denoiser"][key]), key
    for one, two in zip(runs[0]["average"], runs[1]["average"], strict=True):
        assert torch.equal(one, two)
    logs = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in (tmp_path / n / "log.jsonl").open()]
        for n in ("parts", "whole")
    ]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("workers", [1, 3])
def test_loader_workers_change_nothing(tmp_path: Path, workers: int) -> None:
    train(Toy(), CONFIG, tmp_path / "alone")
    with pytest.raises(Interrupted):
        train(Toy(23), replace(CONFIG, workers=workers), tmp_path / "parts")
    train(Toy(), replace(CONFIG, workers=workers), tmp_path / "parts")
    assert_same(tmp_path / "alone", tmp_path / "parts")
