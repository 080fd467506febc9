"""Several processes: how many really run, and that they learn what one process would that does their work in turn."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pair_videos import write_pair_corpus
from torch import Tensor, nn
from toy_stage import CONFIG, Toy

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.weights import files as weights
from training import face, stage1, stage2
from training.batches import step_seed
from training.config import LoopConfig, learning_rate, parse
from training.data import Sessions, write_clips
from training.face_pairs.clips import VideoPairs
from training.face_pairs.config import PairsConfig
from training.face_pairs.stage import PairsStage
from training.face_pairs.stitching import StitchingStage
from training.loop import train
from training.processes import _left_to_mpi, _resolved
from training.reading import begin
from training.stage import Stage
from training.synthetic.clips import make_clip

TESTS = Path(__file__).resolve().parent
STEPS, COUNT = 5, 2
MOTION = ["--model-width", "32", "--model-layers", "1", "--model-window", "12", "--batch", "4"]
LAUNCHERS = {
    "torchrun": ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(COUNT), "-m"],
    "accelerate": ["-m", "accelerate.commands.launch", "--num_processes", str(COUNT), "--cpu", "-m"],
}


def launched(launcher: str, words: list[str], status: int = 0) -> str:
    """Run ``words`` in two processes and return what they say."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ACCELERATE_", "MASTER_"))}
    environment = {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    command = [sys.executable, *LAUNCHERS[launcher], *words]
    done = subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True)
    assert (done.returncode != 0) == (status != 0), done.stderr
    return done.stdout + done.stderr


def emulated(stage: Stage, config: LoopConfig, count: int) -> dict[str, Tensor]:
    """The weights after ``config.steps`` if one process does the work of ``count``, one after the other."""
    modules = list(stage.modules().values())
    for module in modules:
        module.train()
    groups: Any = list(stage.parameters())
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay)
    rates = [group["lr"] for group in optimizer.param_groups]
    learning = [p for group in optimizer.param_groups for p in group["params"]]
    norms = [m for module in modules for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for step in range(config.steps):
        before = [{name: b.clone() for name, b in module.named_buffers()} for module in modules]
        sums, after = [None for _ in learning], []
        for rank in range(count):
            for module, buffers in zip(modules, before, strict=True):
                for name, buffer in module.named_buffers():
                    buffer.copy_(buffers[name])
            seed = step_seed(config.seed, step, rank)
            generator = torch.Generator().manual_seed(seed)
            batch = stage.batch(generator)
            torch.manual_seed(seed)
            stage.loss(batch, step, generator)["loss"].backward()
            after.append([b.clone() for norm in norms for b in (norm.running_mean, norm.running_var) if b is not None])
            for i, p in enumerate(learning):
                if p.grad is not None:
                    sums[i] = p.grad.clone() if sums[i] is None else sums[i] + p.grad
                    p.grad = None
        for p, total in zip(learning, sums, strict=True):
            p.grad = None if total is None else total / count
        own = [b for norm in norms for b in (norm.running_mean, norm.running_var) if b is not None]
        for buffer, *values in zip(own, *after, strict=True):
            buffer.copy_(sum(values) / count)
        nn.utils.clip_grad_norm_(learning, config.grad_clip)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * learning_rate(config, step)
        optimizer.step()
        optimizer.zero_grad()
    return {f"{name}.{key}": v for name, m in stage.modules().items() for key, v in m.state_dict().items()}


def assert_learned(run: Path, expected: dict[str, Tensor]) -> None:
    """The run's state is ``expected`` within 1e-6, and its first weights were others."""
    state = torch.load(run / "state.pt", weights_only=True)
    assert state["step"] == STEPS and state["processes"] == COUNT
    got = {f"{name}.{key}": value for name, module in state["modules"].items() for key, value in module.items()}
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value, atol=1e-6, rtol=1e-6, msg=lambda text, key=key: f"{key}: {text}")


def said_two(said: str, name: str) -> bool:
    return len(re.findall(rf"{name}: {COUNT} processes on cpu, from step \d", said)) == 1


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    made = [make_clip(seed, "train", seconds=(2.0, 3.0), backend="formant") for seed in range(6)]
    write_clips(root / "train-clips-00000.safetensors", made)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("launcher", sorted(LAUNCHERS))
def test_two_processes_learn_what_one_that_does_their_work_in_turn_does(
    launcher: str, clips: Path, tmp_path: Path
) -> None:
    loop = ["--steps", str(STEPS), "--warmup", "2", "--corpus", str(clips), "--log-every", "1", "--save-every", "3"]
    one, two = tmp_path / "one", tmp_path / "two"
    words = [*loop, *MOTION, "--out", str(one)]
    assert said_two(launched(launcher, ["training", "stage1", *words]), "stage1")
    config = parse(stage1.Stage1Config, words, "")
    assert_learned(one, emulated(stage1.build(config, stage1.read_clips(config, config.model)), config, COUNT))

    base = one / "motion.safetensors"
    words = [*loop, "--batch", "4", "--model-width", "32", "--base", str(base), "--out", str(two)]
    assert said_two(launched(launcher, ["training", "stage2", *words]), "stage2")
    second = parse(stage2.Stage2Config, words, "")
    motion = weights.load_motion(base)
    stage = stage2.build(second, motion, stage1.read_clips(second, motion.config), weights.describe(base))
    assert_learned(two, emulated(stage, second, COUNT))

    log = [json.loads(line) for line in (one / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, STEPS + 1))
    assert one_process_is_refused([*loop, *MOTION, "--out", str(one)])


def one_process_is_refused(words: list[str]) -> bool:
    with pytest.raises(UserError, match="holds a run of 2 processes, and this is 1 process: .*start 2, or"):
        stage1.main(words)
    return True


@pytest.mark.slow
@pytest.mark.parametrize("launcher", sorted(LAUNCHERS))
def test_two_processes_learn_one_face(launcher: str, corpus: Path, eye: Path, tmp_path: Path) -> None:
    model = replace(FaceConfig.tiny(), spectral_norm=False, with_stitching=False)
    (tmp_path / "sizes.json").write_text(json.dumps({"model": asdict(model)}))
    words = ["--config", str(tmp_path / "sizes.json"), "--corpus", str(corpus), "--out", str(tmp_path / "face")]
    words += ["--steps", str(STEPS), "--batch", "2", "--draw-size", "32", "--transfer-every", "2", "--warmup", "1"]
    words += ["--perceptual-weights", str(eye), "--teacher", "0.5"]
    assert said_two(launched(launcher, ["training", "face", *words]), "face")
    config = parse(face.FaceStageConfig, words, "")
    sessions = Sessions(corpus, "train")
    networks = begin(config.model, "", False, config.seed, sessions)
    assert_learned(tmp_path / "face", emulated(face.FaceStage(config, networks, sessions), config, COUNT))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", sorted(LAUNCHERS))
def test_two_processes_fine_tune_one_face_on_pairs_and_its_stitching(launcher: str, tmp_path: Path) -> None:
    """Both stages of `face --pairs`: the second begins from the file that the main process wrote."""
    torch.manual_seed(0)
    given, out = tmp_path / "given.safetensors", tmp_path / "pairs"
    model = FaceModel(replace(FaceConfig.tiny(), spectral_norm=False))
    weights.save(model, given, license="none", data="random", training={})
    pairs = write_pair_corpus(tmp_path / "people")
    words = ["--pairs", str(pairs), "--init", str(given), "--out", str(out), "--steps", str(STEPS), "--batch", "2"]
    words += ["--perceptual", "given", "--scales", "1", "--look-size", "64", "--min-gap", "1", "--warmup", "1"]
    words += ["--stitching-steps", str(STEPS), "--save-every", "3", "--log-every", "1"]
    said = launched(launcher, ["training", "face", *words])
    assert said_two(said, "pairs") and said_two(said, "stitching")
    config, source = parse(PairsConfig, words, ""), VideoPairs(pairs)
    stage = PairsStage(config, weights.load_face(given).requires_grad_(True), source)
    assert_learned(out, emulated(stage, config, COUNT))
    tuned = weights.load_face(out / "face.safetensors")
    after = replace(config, steps=config.stitching_steps)
    assert_learned(out / "stitching", emulated(StitchingStage(after, tuned, source), after, COUNT))


@pytest.mark.slow
def test_one_process_decides_that_time_is_up_and_the_log_is_the_mean(tmp_path: Path) -> None:
    """The clocks of the two differ by an hour (see the script): both stop after the same step, and both go on."""
    script = ["toy_in_processes", str(tmp_path)]
    for step in (1, 2):
        launched("torchrun", [*script, "30"])
        assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == step
    launched("torchrun", [*script, "0"])
    told = [json.loads((tmp_path / f"told-{rank}.json").read_text()) for rank in range(2)]
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [7, 14, 21, 28, 35, 40]
    for line in log[1:]:
        steps = [str(step) for step in range(line["step"] - (7 if line["step"] < 40 else 5), line["step"])]
        means = [sum(rank[step] for step in steps) / len(steps) for rank in told]
        assert means[0] != means[1]
        assert line["loss"] == pytest.approx(sum(means) / 2, rel=1e-5)


def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    train(Toy(), replace(CONFIG, steps=10), tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    torch.save({**state, "processes": 4}, tmp_path / "state.pt")
    with pytest.raises(UserError, match="holds a run of 4 processes, and this is 1 process"):
        train(Toy(), CONFIG, tmp_path)


def test_how_many_processes_accelerate_was_asked_for(tmp_path: Path) -> None:
    assert _resolved(["--num_processes", "3", "--cpu", "-m", "training", "stage1"]) == 3
    file = tmp_path / "config.yaml"
    file.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\nnum_processes: 2\nnum_machines: 1\n"
        "use_cpu: true\nmixed_precision: 'no'\nmachine_rank: 0\nmain_training_function: main\n"
    )
    assert _resolved(["--config_file", str(file), "-m", "training", "stage1"]) == 2
    launch = {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1"}
    assert _left_to_mpi(launch) and not _left_to_mpi({**launch, "WORLD_SIZE": "2"}) and not _left_to_mpi({})
