"""``python -m training device``: everything that a GPU is wanted for, in 12 minutes, by one prepared command.

Trains F, W and G of the bundled face model for pictures of 512 x 512, from the shipped weights on rendered sessions of
that size, and then runs ``benchmarks.device``. What needs no GPU is prepared before, on any machine, by the same
command with ``--prepare``: the sessions, and the probe of the perceptual loss. M stays as it is and reads at its own
size. The command given again goes on where it was stopped.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from playmate_core.atomic_file import write_atomically
from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training.config import parse
from training.corpus import CorpusConfig, make_corpus
from training.data import MANIFEST, Sessions
from training.face import FaceStage, FaceStageConfig
from training.loop import train
from training.probe_stage import ProbeStageConfig, train_probe

logger = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parent.parent
#: Steps whose time tells how many there is time for, after as many that are not counted.
TIMED = 8


@dataclass(frozen=True)
class DeviceConfig:
    """``side`` of the pictures that are learned; empty paths are the bundled weights, and the probe that is prepared.

    ``minutes`` for training and ``benchmark_minutes`` for the benchmark, 0: none. ``gpu`` refuses to train without one.
    """

    out: str = "runs/device"
    corpus: str = "data/device"
    init: str = ""
    probe: str = ""
    prepare: bool = False
    side: int = 512
    sessions: int = 360
    frames: int = 6  # of each session
    workers: int = 0  # processes that render sessions; 0: one for every processor core
    probe_steps: int = 1200
    batch: int = 16
    lr: float = 8e-4
    minutes: float = 8.0
    benchmark_minutes: float = 4.0
    precision: str = "bf16"
    gpu: bool = True
    tiny: bool = False  # the benchmark on small networks, to test the command


def prepared(config: DeviceConfig) -> Path:
    """Make the sessions and the probe where they are missing -> the probe's file."""
    corpus = CorpusConfig(
        out=config.corpus,
        clips=0,
        sessions=config.sessions,
        frames_per_session=config.frames,
        size=config.side,
        workers=config.workers or os.cpu_count() or 1,
    )
    make_corpus(corpus)
    if config.probe:
        return Path(config.probe)
    return train_probe(ProbeStageConfig(corpus=config.corpus, steps=config.probe_steps), Path(config.out) / "probe")


def expect_prepared(config: DeviceConfig) -> Path:
    """The probe's file. Raises UserError where something that needs no GPU has not been prepared."""
    probe = Path(config.probe or Path(config.out) / "probe" / "probe.safetensors")
    missing = [str(path) for path in (Path(config.corpus) / MANIFEST, probe) if not path.exists()]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} is missing, and making it needs no GPU; give the same command with --prepare"
            " first."
        )
    if config.gpu and not torch.cuda.is_available():
        raise UserError("torch sees no GPU here; give --no-gpu to train on the processor, or --prepare.")
    return probe


def at_side(path: str, side: int) -> FaceModel:
    """The face model of a file for output of ``side`` pixels; M goes on reading as it was trained to."""
    trained = weights.load_face(path or bundled("face.safetensors"))
    model = FaceModel(
        replace(trained.config, image_size=side // 2, reader_size=trained.config.first_look),
    )
    model.load_state_dict(trained.state_dict())
    return model


def recipe(config: DeviceConfig, probe: Path, steps: int, seconds: float) -> FaceStageConfig:
    """The run of F, W and G: driven by true keypoints first and by M's afterwards.

    With the terms by which the bundled G learned lids, irises and brows."""
    return FaceStageConfig(
        out=str(Path(config.out) / "face"),
        corpus=config.corpus,
        init=config.init or "the bundled face model",
        frozen="motion",
        teacher=0.5,
        transfer=0.0,
        surface=0.2,
        rigid=0.1,
        mouth_and_eyes=16.0,
        fine_edges=16.0,
        emphasis_radius=0.1,
        copied=1.5,
        mixed=3.0,
        smooth_look=0.05,
        same_pose=0.4,
        lids=0.4,
        look_size=config.side // 2,
        draw_size=config.side // 2,
        perceptual_weights=str(probe),
        batch=config.batch,
        lr=config.lr,
        warmup=20,
        final_lr=0.03,
        ema=0.99,
        save_every=50,
        log_every=10,
        steps=steps,
        max_seconds=seconds,
        mixed_precision=config.precision,
    )


def steps_for(config: DeviceConfig, probe: Path, sessions: Sessions, seconds: float) -> int:
    """How many steps there is time for, measured once and kept, so that a run that goes on has the same schedule."""
    kept = Path(config.out) / "steps.json"
    if kept.exists():
        return int(json.loads(kept.read_text())["steps"])
    begun = time.monotonic()
    warm, run = recipe(config, probe, TIMED, 0.0), Path(config.out) / "timing"
    stage = FaceStage(warm, at_side(config.init, config.side), sessions)
    train(stage, replace(warm, out=str(run / "warm")), run / "warm")
    second = time.monotonic()
    train(stage, replace(warm, out=str(run / "timed")), run / "timed")
    each = (time.monotonic() - second) / TIMED
    steps = max(TIMED, int(0.95 * (seconds - (time.monotonic() - begun)) / each))
    write_atomically(kept, json.dumps({"steps": steps, "seconds_a_step": each}).encode())
    logger.info("%.3f s a step: %d steps in %.0f s.", each, steps, seconds)
    return steps


def trained(config: DeviceConfig, probe: Path) -> Path:
    """Train for ``config.minutes``, or as long as was left -> the model's file."""
    seconds, sessions = 60.0 * config.minutes, Sessions(Path(config.corpus), "train")
    if (side := sessions[0].frames.shape[1]) < config.side:
        raise UserError(f"The sessions of {config.corpus} are {side} pixels wide, expected {config.side}; give --side.")
    begun = time.monotonic()
    steps = steps_for(config, probe, sessions, seconds)
    run = recipe(config, probe, steps, max(seconds - (time.monotonic() - begun), 1.0))
    reached = train(FaceStage(run, at_side(config.init, config.side), sessions), run, run.out)
    if reached < steps:
        logger.info("Step %d of %d; the same command goes on.", reached, steps)
    return Path(run.out) / "face.safetensors"


def measured(config: DeviceConfig) -> int:
    """Run ``benchmarks.device`` in a process of its own -> its exit status."""
    out = Path(config.out).resolve() / "benchmark"
    words = [sys.executable, "-m", "benchmarks.device", "--budget", str(60.0 * config.benchmark_minutes)]
    words += ["--out", str(out), *([] if config.gpu else ["--device", "cpu"]), *(["--tiny"] if config.tiny else [])]
    return subprocess.run(words, cwd=ROOT, check=False).returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare, or train and measure."""
    config = parse(DeviceConfig, argv, __doc__ or "")
    if config.prepare:
        sys.stdout.write(f"Prepared {config.corpus} and {prepared(config)}.\n")
        return 0
    probe = expect_prepared(config)
    if config.minutes:
        sys.stdout.write(f"Trained {trained(config, probe)}.\n")
    return measured(config) if config.benchmark_minutes else 0
