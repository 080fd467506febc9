"""JoyVASA's generator is the reference's: every golden case of data/goldens."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from joyvasa_cases import (  # noqa: F401
    AUDIO,
    COMMAND_LINE,
    WEB_FORM,
    encoder,
    generator,
    golden,
    motion_of,
    network,
    request,
    shapes_of,
)
from motion_goldens import MotionGolden, filled_stitching, outputs_left
from torch import Tensor

from playmate_core.diffusion.joyvasa.combine import combine
from playmate_core.diffusion.joyvasa.config import JoyVasaConfig
from playmate_core.diffusion.joyvasa.generator import JoyVasaGenerator
from playmate_core.diffusion.joyvasa.guidance import guided
from playmate_core.diffusion.joyvasa.network import POSITIONS, JoyVasaNetwork, sinusoidal_rows
from playmate_core.diffusion.joyvasa.schedule import cosine_schedule, noise_tables
from playmate_core.diffusion.joyvasa.settings import JoyVasaSettings
from playmate_core.diffusion.joyvasa.smoothing import SMOOTHERS
from playmate_core.diffusion.joyvasa.template import columns_of
from playmate_core.diffusion.samplers import sample
from playmate_core.geometry import place_motion, rotation_matrix
from playmate_core.motion.driving import ANIMAL, DrivingOptions
from playmate_core.rendering.retarget import guide_keypoints
from playmate_core.speech.encoders import ENCODERS, Source
from playmate_core.speech.hubert_windows import (
    WindowedHubert,
    WindowOptions,
    cut_window,
    halved,
    window_count,
)
from playmate_core.values import FPS, Motion
from training.joyvasa_objective import motion_losses


def test_schedules(golden: MotionGolden) -> None:
    for case in golden.names("schedule/.*"):
        tables = noise_tables(int(case.split("/")[1]))
        for name in ("betas", "alphas", "alpha_bars"):
            golden.check(f"{case}/{name}", getattr(tables, name))
        golden.check(f"{case}/sigmas_inflex", tables.sigmas)
        golden.check(f"{case}/sigmas_flex", tables.betas.sqrt())


def test_the_sinusoidal_table(golden: MotionGolden) -> None:
    golden.check("table/pe", sinusoidal_rows(golden("table/rows"), golden.about["table/pe"]["shape"][1]))


@pytest.mark.parametrize("positions", POSITIONS)
def test_one_call_of_the_denoiser(golden: MotionGolden, network: JoyVasaNetwork, positions: str) -> None:
    x, audio, past, heard = golden.group("den", "x", "audio", "prev_motion", "prev_audio")
    rows = len(x)
    start = network.start_motion_feat.expand(rows, -1, -1), network.start_audio_feat.expand(rows, -1, -1)
    null = network.null_audio_feat.expand(rows, x.shape[1], -1)
    calls: dict[str, tuple[Any, ...]] = {
        "first": (x, audio, *start, golden("den/steps_a")),
        "next": (x, audio, past, heard, golden("den/steps_b")),
        "null": (x, null, past, heard, golden("den/steps_a")),
    }
    for name, call in calls.items():
        golden.check(f"den/{name}/{positions}", network(*call, positions=positions))


@pytest.mark.parametrize("positions", POSITIONS)
def test_another_geometry(golden: MotionGolden, network: JoyVasaNetwork, positions: str) -> None:
    listed = shapes_of(golden.cases["geo2"]["parameters"])  # of the layers, which are all alike, only the first
    layers = range(network.config.layers)
    every = {key.replace("layers.0.", f"layers.{i}."): shape for key, shape in listed.items() for i in layers}
    config = JoyVasaConfig.of(every)
    x, audio, steps = golden.group("geo2", "x", "audio", "steps")
    assert (config.motion, config.width) == (x.shape[2], audio.shape[2])
    net = golden.filled(JoyVasaNetwork(config))
    made = net(x, audio, net.start_motion_feat, net.start_audio_feat, steps, positions)
    golden.check(f"geo2/{positions}", made)


def test_training_forward(golden: MotionGolden, network: JoyVasaNetwork) -> None:
    """Noise the clean motion, drop the audio of the first entry; the case was made in mode per_position."""
    motion, eps, steps = golden.group("train", "motion", "eps", "steps")
    audio, past, heard = golden.group("den", "audio", "prev_motion", "prev_audio")
    bars = noise_tables(network.config.steps).alpha_bars[steps][:, None, None]
    noisy = bars.sqrt() * motion + (1 - bars).sqrt() * eps
    dropped: Tensor = torch.cat([network.null_audio_feat.expand(1, audio.shape[1], -1), audio[1:]])
    golden.check("train/target", network(noisy, dropped, past, heard, steps, "per_position"))


@pytest.mark.parametrize("case", ["first", "first_trunc", "second", "second_trunc"])
def test_losses(golden: MotionGolden, case: str) -> None:
    truth, predicted, before, end = golden.group("loss", "gt", "pred", "prev", "end")
    valid = end if case.endswith("trunc") else None
    made = motion_losses(truth, predicted, before if case.startswith("second") else None, valid)
    terms = [getattr(made, field.name) for field in fields(made)]
    golden.check(f"loss/{case}", torch.tensor([0.0 if term is None else float(term) for term in terms]))
    golden.check(f"loss/{case}_defined", torch.tensor([int(term is not None) for term in terms]))


@pytest.mark.parametrize("case", [
    "sample8/first_cfg", "sample8/next_cfg", "sample8/next_cfg_per_position", "sample8/next_nocfg",
])  # fmt: skip
def test_guided_sampling(golden: MotionGolden, network: JoyVasaNetwork, case: str) -> None:
    told, tensors = golden.cases[case]["what"], golden.cases[case]["tensors"]
    steps = int(told.split("-step")[0].split()[-1])
    scale = float(told.split("guidance scale ")[1].split(",")[0]) if "guidance scale" in told else 1.0
    positions = told.split("mode '")[1].split("'")[0]
    past, heard = network.start_motion_feat[0], network.start_audio_feat[0]
    if "sample8/prev_motion" in tensors:
        past, heard = golden("sample8/prev_motion")[0], golden("sample8/prev_audio")[0]
    predict = guided(network, golden("sample8/audio")[0], past, heard, scale, positions)
    states: dict[int, Tensor] = {}

    def watched(x: Tensor, t: int) -> Tensor:
        states[t + 1] = x
        return predict(x, t)

    drawn = iter([golden(f"sample8/z_{t}") for t in range(steps, 1, -1)])
    states[0] = sample(
        watched, cosine_schedule(steps), golden("sample8/x_T"), steps=steps, sampler="ddpm", spacing="uniform",
        generator=lambda like: next(drawn), limit=math.inf,
    )  # fmt: skip
    for name in tensors:
        if name.startswith(f"{case}/"):
            golden.check(name, states[int(name.rsplit("_", 1)[1])])


def test_the_released_setting(golden: MotionGolden, network: JoyVasaNetwork) -> None:
    told, steps = golden.cases["sample50"]["what"], network.config.steps
    scale = float(told.split("guidance scale ")[1].split(",")[0])
    start = network.start_motion_feat[0], network.start_audio_feat[0]
    predict = guided(network, golden("sample8/audio")[0], *start, scale, told.split("mode '")[1].split("'")[0])
    drawn = iter([golden("sample50/z_t", t=t) for t in range(steps, 1, -1)])
    made = sample(
        predict, cosine_schedule(steps), golden("sample50/x_T"), steps=steps, sampler="ddpm", spacing="uniform",
        generator=lambda like: next(drawn), limit=math.inf,
    )  # fmt: skip
    golden.check("sample50/x_0", made)


def test_a_waveform_to_motion(golden: MotionGolden, network: JoyVasaNetwork, encoder: WindowedHubert) -> None:
    """Windows of a waveform, with silence before and behind; every smoother on what comes out."""
    case = golden.cases["windows"]["what"]
    steps, guidance = int(case.split("-step")[0].split()[-1]), float(case.split("guidance ")[1].split(",")[0])
    wave = golden("windows/wave").numpy()
    heard = encoder.listen(wave, 16000)
    assert heard.after is not None
    rows = torch.cat([heard.features, heard.after])
    total = len(WindowOptions().padded(wave))
    windows, frames = window_count(total)
    golden.check("windows/n", torch.tensor([len(wave), total, windows, frames]))
    last = network.audio_feature_map(rows[:, 0]).unflatten(0, (windows, -1))[:, -network.config.previous :]
    golden.check("windows/feat_last10", last.flatten(0, 1)[None])
    made = generator(golden, network, "windows", steps)
    numbers = torch.cat(list(made.numbers(request(rows[:frames], rows[frames:], steps, guidance))))
    golden.check("windows/motion", numbers[None])
    check_motion(golden, "windows/raw", made.motion(numbers, SMOOTHERS["none"](1.0)))
    golden.check("windows/raw/exp", made.motion(numbers).expression)
    check_motion(golden, "windows/smooth", made.motion(numbers), expression=False)
    ema, few = golden("smoothers/ema"), len(golden("smoothers/ema"))
    raw = torch.cat(golden.group("windows/raw", "scale", "t", "pitch", "yaw", "roll"), -1)[: len(ema)]
    for name, smoother in (("ema", "exponential"), ("median", "median"), ("mean", "mean")):
        calm = SMOOTHERS[smoother](JoyVasaSettings().smoothing)
        pieces = [calm(raw[: few // 3]), calm(raw[few // 3 :])]
        golden.check(f"smoothers/{name}", torch.cat(pieces))


def check_motion(golden: MotionGolden, prefix: str, motion: Motion, expression: bool = True) -> None:
    pose = motion.pose
    golden.check(f"{prefix}/scale", pose.scale)
    golden.check(f"{prefix}/t", pose.translation)
    for i, name in enumerate(("pitch", "yaw", "roll")):
        golden.check(f"{prefix}/{name}", pose.rotation[:, i])
    golden.check(f"{prefix}/R", rotation_matrix(pose.rotation))
    if expression:
        golden.check(f"{prefix}/exp", motion.expression)


def test_without_silence_before(golden: MotionGolden, network: JoyVasaNetwork, encoder: WindowedHubert) -> None:
    wave, about = golden("nopad/wave").numpy(), golden.cases["nopad"]
    steps = int(about["what"].split("-step")[0].split()[-1])
    bare = WindowedHubert(
        encoder.name, ENCODERS[encoder.name], Source(module=encoder.module), WindowOptions(lead_frames=0)
    )
    heard = bare.listen(wave, 16000)
    assert heard.after is not None
    rows = torch.cat([heard.features, heard.after])
    windows, frames = window_count(wave.shape[1])
    golden.check("nopad/n", torch.tensor([wave.shape[1], windows, frames]))
    head = cut_window(wave.mean(0), 0)[: len(golden("nopad/window0_head"))]
    golden.check("nopad/window0_head", torch.from_numpy(head))
    rows = rows[: 100 * windows]
    last = network.audio_feature_map(rows[:, 0]).unflatten(0, (windows, -1))[:, -network.config.previous :]
    golden.check("nopad/feat_last10", last.flatten(0, 1)[None])
    made = generator(golden, network, "nopad", steps, lead_frames=0, smoother="none")
    numbers = torch.cat(list(made.numbers(request(rows[:frames], rows[frames:], steps, about["guidance"]))))
    golden.check("nopad/motion", numbers)
    check_motion(golden, "nopad", made.motion(numbers))


def test_the_whole_chain(golden: MotionGolden, network: JoyVasaNetwork) -> None:
    about = golden.cases["e2e"]
    steps, samples, guidance = about["steps"], about["samples"], about["guidance"]
    total = len(WindowOptions().padded(np.zeros(samples, np.float32)))
    windows, frames = window_count(total)
    golden.check("e2e/n", torch.tensor([samples, total, windows, frames, steps]))
    rows = torch.cat([halved(golden("e2e/hidden", w=w)[0]) for w in range(windows)])[:, None]
    rest, keypoints = motion_of(golden, "e2e/source"), golden("e2e/source/kp")[0]
    made = generator(golden, network, "e2e", steps)
    asked = request(rows[:frames], rows[frames:], steps, guidance, rest)
    numbers = torch.cat(list(made.numbers(asked)))
    golden.check("e2e/motion", numbers)
    stored = made.motion(golden("e2e/motion"))
    golden.check("e2e/smoothed", columns_of(stored.pose))
    x_s = place_motion(keypoints, rest)
    golden.check("e2e/x_s", x_s)
    x_d = place_motion(keypoints, combine(rest, stored, stored[:1]))
    plain, stitched = SimpleNamespace(stitching=None), filled_stitching(golden)
    golden.check("e2e/x_d_command_line", guide_keypoints(plain, x_s, x_d, COMMAND_LINE))  # type: ignore[arg-type]
    golden.check("e2e/x_d_web_form", guide_keypoints(stitched, x_s, x_d, WEB_FORM))

    class Stored(JoyVasaGenerator):
        def numbers(self, *given: Any) -> Any:
            return iter(golden("e2e/motion").split(network.config.window))

    whole = Stored(**vars(made)).generate(asked)
    assert len(whole) == frames and whole.fps == FPS
    if float(stored.pose.rotation.abs().max()) < 20:  # or our own limits of comfort act
        made_x_d = place_motion(keypoints, whole)
        golden.check("e2e/x_d_command_line", guide_keypoints(plain, x_s, made_x_d, COMMAND_LINE))  # type: ignore[arg-type]


@pytest.mark.parametrize("case, region, subject, options", [
    ("human_command_line", "all", "human", COMMAND_LINE),
    ("human_multiplier_1", "all", "human", replace(COMMAND_LINE, multiplier=1.0)),
    ("human_web_form", "all", "human", WEB_FORM),
    ("human_pose_only", "pose", "human", replace(COMMAND_LINE, multiplier=1.0)),
    ("human_exp_only", "expression", "human", replace(COMMAND_LINE, multiplier=1.0)),
    ("human_lip_only", "lips", "human", replace(COMMAND_LINE, multiplier=1.0)),
    ("animal_command_line", "all", "animal", replace(COMMAND_LINE, mode=ANIMAL)),
])  # fmt: skip
def test_combination(golden: MotionGolden, case: str, region: str, subject: str, options: DrivingOptions) -> None:
    rest, driving = motion_of(golden, "combine/source"), motion_of(golden, "combine/driving")
    keypoints = golden("combine/source/kp")[0]
    golden.check("combine/driving/R", rotation_matrix(driving.pose.rotation))
    x_s = place_motion(keypoints, rest)
    golden.check("combine/x_s", x_s)
    x_d = place_motion(keypoints, combine(rest, driving, driving[:1], region, subject))
    plain = SimpleNamespace(stitching=None)
    golden.check(f"combine/{case}", guide_keypoints(plain, x_s, x_d, options))  # type: ignore[arg-type]


def test_nothing_was_left_out(golden: MotionGolden) -> None:
    """Run after the others: every expected number was compared, and every case of the file has its test."""
    left = outputs_left(golden, others=AUDIO)
    if len(left) > len(golden.about) // 4:
        pytest.skip("only some of the cases were run")
    assert left == []
    assert [c for c in golden.names("combine/.*") if not set(golden.cases[c]["tensors"]) & golden.checked] == []
