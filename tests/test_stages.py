"""The two motion stages: what is masked, dropped and frozen, and both verbs from clips on disk to files that load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser, WindowContext
from playmate_core.diffusion.emotion import EmotionConfig, EmotionController
from playmate_core.diffusion.normalisation import EXPRESSION_CHANNELS
from playmate_core.diffusion.samplers import Schedule
from playmate_core.errors import UserError
from playmate_core.values import LIP_KEYPOINTS
from playmate_core.weights import files as weights
from training import stage1, stage2
from training.clip_windows import ClipTensors, FramesInMemory, Windows, WindowSampler
from training.data import write_clips
from training.objective import expression_weight, masked_mean, snr_weight
from training.stage1 import Stage1, Stage1Config
from training.stage2 import Stage2, Stage2Config
from training.synthetic.clips import make_clip

MODEL = replace(MotionConfig.tiny(), width=32, layers=1, kernel=3, window=12, previous=4, audio_blocks=1, dropout=0.0)
SMALL = ["--model-width", "32", "--model-layers", "1", "--model-window", "12", "--batch", "4", "--save-every", "2"]


def recipe(**changes: Any) -> Stage1Config:
    """Eq. 7 plain: every step and channel weighs the same."""
    return replace(Stage1Config(model=MODEL, batch=8, snr_limit=0.0, lip_weight=1.0), **changes)


def clip(seed: int, frames: int = 40, static: bool = False) -> ClipTensors:
    """The first audio feature is the whole of the motion, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    voice = torch.randn(frames, 1, generator=generator)
    audio = torch.zeros(frames, 1, MODEL.audio_width)
    audio[:, 0, :8] = voice
    return ClipTensors(voice.repeat(1, 69), audio, torch.zeros(63), emotion=seed % 8, intensity=0.5, pose_static=static)


def first_stage(
    config: Stage1Config | None = None, static: bool = False, denoiser: MotionDenoiser | None = None
) -> Stage1:
    torch.manual_seed(0)
    config = config or recipe()
    sampler = WindowSampler(
        FramesInMemory([clip(k, static=static) for k in range(8)]), torch.zeros(1, MODEL.audio_width), 12, 4
    )
    return Stage1(config, denoiser or MotionDenoiser(config.model), sampler)


def second_stage(config: Stage2Config | None = None) -> Stage2:
    torch.manual_seed(1)
    config = config or Stage2Config(model=EmotionConfig(width=32, heads=4, dropout=0.0), batch=8)
    return Stage2(config, MotionDenoiser(MODEL), EmotionController(config.model), first_stage().sampler)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Recorder(MotionDenoiser):
    """A denoiser that keeps what it was given."""

    def forward(self, noisy: Tensor, t: Tensor, context: WindowContext) -> Tensor:
        self.seen, self.steps = context, t
        return super().forward(noisy, t, context)


def recorded(**changes: Any) -> tuple[Recorder, Windows]:
    config = recipe(batch=2000, **changes)
    denoiser = Recorder(replace(MODEL, width=8))
    stage = first_stage(config, denoiser=denoiser)
    batch = stage.batch(generator())
    with torch.no_grad():
        stage.loss(batch, 0, generator(1))
    return denoiser, batch


def test_voice_and_identity_are_dropped_as_often_as_said() -> None:
    seen = recorded()[0].seen
    assert float(seen.drop_audio.float().mean()) == pytest.approx(0.10, abs=0.02)
    assert float(seen.drop_identity.float().mean()) == pytest.approx(0.05, abs=0.015)


def test_previous_motion_is_noised_up_to_the_limit_and_not_at_all_for_the_ablation() -> None:
    denoiser, batch = recorded()
    inside = ~denoiser.seen.start
    noise = (denoiser.seen.previous - batch.motion[:, :4])[inside].std()
    assert 0.05 < float(noise) < 0.17
    denoiser, batch = recorded(prev_noise_max=0.0)
    assert torch.equal(denoiser.seen.previous, batch.motion[:, :4])


def test_every_diffusion_step_is_visited() -> None:
    steps = recorded()[0].steps
    assert int(steps.min()) < 10 and int(steps.max()) > 990


@pytest.mark.parametrize("target", ["epsilon", "x0", "v"])
def test_an_untrained_denoiser_is_about_as_wrong_as_predicting_nothing(target: str) -> None:
    stage = first_stage(recipe(model=replace(MODEL, target=target), batch=64))
    with torch.no_grad():
        values = stage.loss(stage.batch(generator()), 0, generator(1))
    assert 0.6 < float(values["expression"]) < 1.7 and 0.6 < float(values["pose"]) < 1.7
    assert float(values["loss"]) == pytest.approx(float(values["expression"] + values["pose"]))


def test_a_still_head_teaches_no_pose() -> None:
    stage = first_stage(static=True)
    values = stage.loss(stage.batch(generator()), 0, generator(1))
    values["loss"].backward()
    assert float(values["pose"].detach()) == 0.0
    assert all(p.grad is None or not p.grad.any() for p in stage.denoiser.pose_mlp.parameters())
    assert any(p.grad is not None and p.grad.any() for p in stage.denoiser.expression_mlp.parameters())


def test_dead_channels_and_frames_past_the_end_teach_nothing() -> None:
    stage = first_stage()
    stage.denoiser.statistics.live[:60] = False
    batch = stage.batch(generator())
    values = stage.loss(batch, 0, generator(1))
    values["loss"].backward()
    grad = stage.denoiser.expression_mlp[-1].weight.grad
    assert isinstance(grad, Tensor) and not grad[:60].any() and grad[60:].any()
    assert not bool(batch.valid.all())
    garbage = batch.motion.clone()
    garbage[:, 4:][~batch.valid] = 50.0
    other = stage.loss(replace(batch, motion=garbage), 0, generator(1))
    assert float(other["loss"].detach()) == pytest.approx(float(values["loss"].detach()), rel=1e-5)


def test_lips_weigh_as_much_as_told() -> None:
    live = torch.ones(63, dtype=torch.bool)
    live[2::3] = False
    weight = expression_weight(live, 2.0).reshape(21, 3)
    assert float(weight.sum()) == pytest.approx(1.0) and not weight[:, 2].any()
    assert float(weight[LIP_KEYPOINTS[0], 0] / weight[0, 0]) == pytest.approx(2.0)


def test_snr_weights_mean_the_same_clean_error_in_every_unit() -> None:
    schedule, t = Schedule.linear(), torch.tensor([0, 500, 999])
    bar = schedule.alpha_bar[t].float()
    snr = bar / (1 - bar)
    heard = snr.clamp(max=5.0)
    assert torch.equal(snr_weight(schedule, "v", 0.0, t), torch.ones(3))
    assert torch.allclose(snr_weight(schedule, "x0", 5.0, t), 1 + heard)
    # an error e of x0 is e sqrt(SNR) of epsilon and e sqrt(SNR + 1) of v
    assert torch.allclose(snr_weight(schedule, "v", 5.0, t) * (snr + 1), 1 + heard)
    assert torch.allclose(snr_weight(schedule, "epsilon", 5.0, t) * snr, heard)
    assert float(snr_weight(schedule, "epsilon", 5.0, t).max()) <= 1.0


def test_masked_mean_is_the_mean_over_valid_frames() -> None:
    values, valid = torch.tensor([[1.0, 3.0, 100.0]]), torch.tensor([[True, True, False]])
    assert float(masked_mean(values, valid.float(), valid)) == 2.0


def test_the_velocity_term_adds_to_the_loss_and_is_off_by_default() -> None:
    plain = first_stage()
    moving = first_stage(recipe(velocity_weight=0.5))
    batch = plain.batch(generator())
    without, with_it = plain.loss(batch, 0, generator(1)), moving.loss(batch, 0, generator(1))
    assert "velocity" not in without
    assert float(with_it["loss"] - without["loss"]) == pytest.approx(0.5 * float(with_it["velocity"]), rel=1e-4)


def test_a_tiny_denoiser_learns_that_the_voice_is_the_motion() -> None:
    stage = first_stage(recipe(batch=16, drop_audio=0.0))
    optimizer = torch.optim.Adam(stage.parameters(), lr=3e-3)
    losses = []
    for step in range(120):
        loss = stage.loss(stage.batch(generator(step)), step, generator(1000 + step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_an_untrained_controller_has_the_loss_of_the_base_alone() -> None:
    stage = second_stage()
    batch = stage.batch(generator())
    controlled = stage.loss(batch, 0, generator(5))["loss"]
    stage.controller.forward = lambda hidden, *rest: hidden  # type: ignore
    assert torch.equal(controlled, stage.loss(batch, 0, generator(5))["loss"])


def test_stage_2_trains_the_controller_and_no_bit_of_the_base(tmp_path: Path) -> None:
    stage = second_stage()
    before = weights.tensor_hash(stage.base)
    start = weights.tensor_hash(stage.controller)
    optimizer = torch.optim.Adam(stage.parameters(), lr=1e-2)
    for step in range(3):
        stage.loss(stage.batch(generator(step)), step, generator(step))["loss"].backward()
        assert all(p.grad is None for p in stage.base.parameters())
        optimizer.step()
    assert weights.tensor_hash(stage.base) == before and weights.tensor_hash(stage.controller) != start
    stage.save(tmp_path, 3)
    assert weights.describe(tmp_path / "emotion.safetensors").base == before
    with torch.no_grad():
        stage.base.start.add_(1.0)
    with pytest.raises(RuntimeError, match="frozen base changed"):
        stage.save(tmp_path, 4)


def test_emotion_is_dropped_with_the_voice_and_alone_but_never_the_voice_alone() -> None:
    stage = second_stage(Stage2Config(model=EmotionConfig(width=32, heads=4), batch=3000))
    seen: dict[str, Any] = {}
    hidden_frames, forward = stage.base.hidden_frames, stage.controller.forward
    stage.base.hidden_frames = lambda noisy, t, c: seen.update(c=c) or hidden_frames(noisy, t, c)  # type: ignore
    stage.controller.forward = lambda h, t, w, i, null, valid: (  # type: ignore
        seen.update(emotion=null, weights=w) or forward(h, t, w, i, null, valid)
    )
    with torch.no_grad():
        stage.loss(stage.batch(generator()), 0, generator(1))
    voice, identity = seen["c"].drop_audio, seen["c"].drop_identity
    assert float(voice.float().mean()) == pytest.approx(0.07, abs=0.02)
    assert float(identity.float().mean()) == pytest.approx(0.05, abs=0.015)
    assert bool((identity & ~seen["emotion"]).any()) and bool((seen["emotion"] & ~identity).any())
    assert float(seen["emotion"].float().mean()) == pytest.approx(0.17, abs=0.03)
    assert not bool((voice & ~seen["emotion"]).any())
    assert bool((seen["weights"].sum(-1) == 1).all())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    clips = [make_clip(seed, "train", seconds=(2.0, 3.0), backend="formant") for seed in range(6)]
    write_clips(root / "train-clips-00000.safetensors", clips)
    return root


def test_both_verbs_train_and_resume_from_a_corpus_to_files_that_load(corpus: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    first = ["--corpus", str(corpus), "--out", str(one), *SMALL]
    stage1.main([*first, "--steps", "2"])
    stage1.main([*first, "--steps", "4"])
    motion = weights.load_motion(one / "motion.safetensors")
    facts = weights.describe(one / "motion.safetensors")
    assert facts.training["step"] == 4 and facts.audio == "logmel" and facts.config["target"] == "x0"
    assert 0 < int(motion.statistics.live.sum()) < EXPRESSION_CHANNELS and bool(motion.statistics.silence.any())
    assert [json.loads(line)["step"] for line in (one / "log.jsonl").read_text().splitlines()] == [2, 4]
    base = ["--base", str(one / "motion.safetensors"), "--corpus", str(corpus), "--out", str(two)]
    options = ["--batch", "4", "--steps", "3", "--model-width", "32"]
    stage2.main([*base, *options])
    weights.load_emotion(two / "emotion.safetensors", base=motion)
    with pytest.raises(UserError, match="--model-width is 128"):
        stage2.main([*base, "--steps", "3"])


def test_more_clips_than_there_are_is_refused(corpus: Path) -> None:
    with pytest.raises(UserError, match="has 6 training clips and --clips asks for 7"):
        stage1.main(["--corpus", str(corpus), "--clips", "7"])
