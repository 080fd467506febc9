"""Ditto's generator is the reference's: every golden case of data/goldens."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from ditto_cases import (
    asked,
    face_of,
    golden,  # noqa: F401
    source_placed,
)
from motion_goldens import GoldenNoise, MotionGolden, filled_stitching, outputs_left
from torch import Tensor

from playmate_core.diffusion.ditto.apply import Application
from playmate_core.diffusion.ditto.conditioning import Conditioned
from playmate_core.diffusion.ditto.conditions import condition_rows, emotion_row, in_turn
from playmate_core.diffusion.ditto.config import STEPS, DittoConfig
from playmate_core.diffusion.ditto.controls import FACE_ONLY_DRIVE
from playmate_core.diffusion.ditto.generator import DittoGenerator
from playmate_core.diffusion.ditto.guidance import guided
from playmate_core.diffusion.ditto.layout import BinnedMotion
from playmate_core.diffusion.ditto.network import DittoNetwork, step_embedding
from playmate_core.diffusion.ditto.rotary import rotated
from playmate_core.diffusion.ditto.sampling import sampled
from playmate_core.diffusion.ditto.schedule import cosine_schedule
from playmate_core.diffusion.ditto.settings import DittoData, DittoSettings
from playmate_core.diffusion.ditto.source import SourceFace, back_and_forth, smoothed
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.samplers import CLEAN, ddim_factors, sample, truncated_steps
from playmate_core.geometry import place
from playmate_core.speech.hubert_streaming import (
    chunk_count,
    current_rows,
    file_chunk,
    published_frames,
    stream_chunk,
    stream_chunk_count,
)
from playmate_core.values import AudioFeatures

SCHEDULE = cosine_schedule(STEPS)


@pytest.fixture(scope="module")
def network(golden: MotionGolden) -> DittoNetwork:
    shapes = {key: tuple(shape) for key, shape in golden.facts["state_dict"]["parameters"].items()}
    net = golden.filled(DittoNetwork(DittoConfig.of(shapes)))
    golden.check_fill(net)
    return net


def test_the_schedule(golden: MotionGolden) -> None:
    bar = SCHEDULE.alpha_bar.float()  # as the tables are kept
    golden.check("schedule/alphas_cumprod", bar)
    golden.check("schedule/sqrt_recip1m_alphas_cumprod", (1 / (1 - bar)).sqrt())
    golden.check("schedule/sqrt_recipm1_alphas_cumprod", (1 / bar - 1).sqrt())


def test_steps_and_their_factors(golden: MotionGolden) -> None:
    for case in golden.names(r"ddim/\d+"):
        grid = [*truncated_steps(SCHEDULE, int(case.split("/")[1])), CLEAN]
        pairs = list(zip(grid, grid[1:], strict=False))
        golden.check(f"{case}/pairs", torch.tensor(pairs))
        factors = torch.tensor([ddim_factors(SCHEDULE, *pair, eta=1.0) for pair in pairs[:-1]])
        for name, column in zip(("x0_factor", "eps_factor", "noise_factor"), factors.T, strict=True):
            golden.check(f"{case}/{name}", column)


def test_rotary_positions_and_the_step(golden: MotionGolden, network: DittoNetwork) -> None:
    golden.check("rotary/out", rotated(golden("rotary/in")))
    golden.check("time/embedding", step_embedding(golden("time/steps"), network.config.width))
    golden.check("time/hidden", network.hidden(golden("time/steps")))


def test_one_call_of_the_denoiser(golden: MotionGolden, network: DittoNetwork) -> None:
    x, frame, cond, steps = golden.group("dec", "x", "cond_frame", "cond", "steps")
    heard = network(x, frame, network.embed_condition(cond), steps)
    unheard = network(x, frame, network.null_condition(len(x)), steps)
    made = unheard + 2 * (heard - unheard)
    golden.check("dec/conditional", heard)
    golden.check("dec/unconditional", unheard)
    golden.check("dec/guided", made)
    alpha, sigma = SCHEDULE.at(steps, x)
    golden.check("dec/eps", (x - alpha * made) / sigma)


def test_guided_sampling(golden: MotionGolden, network: DittoNetwork) -> None:
    names = [n for n in golden.cases["ddim_run"]["tensors"] if "/noise_" in n]
    drawn = iter([golden(name) for name in sorted(names)])
    scale = float(golden.cases["ddim_run"]["what"].split("guidance ")[1].split(",")[0])
    made = sample(
        guided(network, golden("dec/cond")[0], golden("dec/cond_frame")[0], scale),
        SCHEDULE,
        golden("ddim_run/x_T"),
        steps=len(names) + 1,
        sampler="ddim",
        spacing="truncated",
        eta=1.0,
        generator=lambda like: next(drawn),
        limit=math.inf,
    )
    golden.check("ddim_run/out", made)


@pytest.mark.parametrize("case", ["label_4", "labels_3_and_6", "sequence", "frame0_eyes"])
def test_condition_rows(golden: MotionGolden, case: str) -> None:
    about = re.search(
        r"emotion (.*), (\d+) source frame\(s\), first frame index (-?\d+)", golden.about[f"cond/{case}"]["note"]
    )
    assert about is not None
    told, sources, first = json.loads(about[1]), int(about[2]), int(about[3])
    sequence = (
        told if isinstance(told, list) and isinstance(told[0], list) else [told if isinstance(told, list) else [told]]
    )
    sources = 1 if case == "frame0_eyes" else sources  # the eyes of the first frame, held
    audio, face = golden("cond/audio"), face_of(golden, "source")
    frames = torch.arange(first, first + len(audio))
    rows = in_turn(torch.stack([emotion_row(labels) for labels in sequence]), frames)
    seen = replace(face, eyes_open=face.eyes_open[:sources], eye_balls=face.eye_balls[:sources])
    made = condition_rows(audio, rows, seen, face.keypoints[0], frames)
    assert torch.equal(made[:, : audio.shape[1]], audio)
    golden.check(f"cond/{case}", made[:, audio.shape[1] :])


def test_frames_and_chunks(golden: MotionGolden) -> None:
    samples = golden("frames/table")[:, 0].tolist()
    golden.check("frames/table", torch.tensor([[n, published_frames(n), chunk_count(n)] for n in samples]))
    total = int(golden("chunks/samples")[0])
    wave = np.arange(1, total + 1, dtype=np.float32)
    chunks = [file_chunk(wave, i) for i in range(chunk_count(total))]
    golden.check("chunks/samples", torch.tensor([total, len(chunks), len(chunks[0]), published_frames(total)]))
    golden.check("chunks/first_last", torch.tensor([[c[0], c[-1]] for c in chunks]))
    tokens = [
        torch.tensor([float(c[320 * i : 320 * i + 400].mean(dtype=np.float64)) for i in range(20)]) for c in chunks
    ]
    rows = torch.cat([current_rows(t[:, None]) for t in tokens])[: published_frames(total)]
    golden.check("chunks/feat", rows)


def test_streamed_chunks(golden: MotionGolden) -> None:
    total = int(golden("stream/n")[0])
    wave = np.arange(1, total + 1, dtype=np.float32)
    chunks = [stream_chunk(wave, i) for i in range(stream_chunk_count(total))]
    golden.check("stream/n", torch.tensor([total, published_frames(total), len(chunks), len(chunks[0])]))
    golden.check("stream/first_last", torch.tensor([[c[0], c[-1], c[1920]] for c in chunks]))


def audio_of(golden: MotionGolden, name: str, before: str | None = None) -> AudioFeatures:
    rows = golden(name)[:, None]
    silence = None if before is None else golden(before)[:, None]
    return AudioFeatures(rows, torch.zeros(len(rows)), "ditto-hubert", before=silence)


def picture(face: SourceFace) -> SourceFace:
    """Of several source frames the first: a picture."""
    return replace(face, eyes_open=face.eyes_open[:1], eye_balls=face.eye_balls[:1])


def limits(golden: MotionGolden) -> Tensor:
    return torch.stack(golden.group("clip", "min", "max"))


def options_of(steps: int, overlap: int) -> SamplingOptions:
    return replace(DittoGenerator(DittoNetwork(DittoConfig(decoder_layers=1))).defaults, steps=steps, overlap=overlap)


@pytest.mark.parametrize("case, reset, kept", [("free", 0, None), ("pinned", 1, (0, 202))])
def test_offline_windows(
    golden: MotionGolden, network: DittoNetwork, case: str, reset: int, kept: tuple[int, int] | None
) -> None:
    told = golden.cases["offline"]["what"]
    overlap, steps, calm = (
        int(re.search(pattern, told)[1])  # type: ignore[index]
        for pattern in (r"overlap (\d+)", r"(\d+) sampling steps", r"smoothing (\d+)")
    )
    noise = GoldenNoise(golden, "offline/x_T", "offline/noise", range(steps - 1))
    settings = DittoSettings(reset=reset, kept=kept, smoothing=calm)
    made = DittoGenerator(network, DittoData(limits=limits(golden)), settings, noise=lambda seed: noise)
    options, face = options_of(steps, overlap), picture(face_of(golden, "source"))
    request = asked(face, audio_of(golden, "offline/audio"), options)
    clip = made.clip(request, Conditioned.of(SourceFace.of(request)), options)
    frames: list[Tensor] = []
    pieces = list(sampled(network, SCHEDULE, clip, options, noise, on_condition=frames.append))
    golden.check(f"offline/{case}/cond_frames", torch.stack(frames))
    golden.check(f"offline/{case}/motion", made.data.clamped(torch.cat(pieces)))


def test_online_windows(golden: MotionGolden, network: DittoNetwork) -> None:
    told, audio = golden.cases["online"]["what"], audio_of(golden, "online/audio", "online/buffer")
    overlap, steps = int(re.search(r"overlap (\d+)", told)[1]), int(re.search(r"(\d+) sampling steps", told)[1])  # type: ignore[index]
    noise = GoldenNoise(golden, "online/x_T", "online/noise", range(steps - 1))
    settings = DittoSettings(run="online", reset=1, kept=(0, 202))
    made = DittoGenerator(network, DittoData(limits=limits(golden)), settings, noise=lambda seed: noise)
    options = options_of(steps, overlap)
    request = asked(picture(face_of(golden, "source")), audio, options)
    clip = made.clip(request, Conditioned.of(SourceFace.of(request)), options)
    pieces = list(sampled(network, SCHEDULE, clip, options, noise))
    given = [sum(len(p) for p in pieces[:call]) - overlap for call in range(clip.windows)]
    golden.check("online/emitted_before_call", torch.tensor(given).clamp(min=0))
    motion = made.data.clamped(torch.cat(pieces))
    golden.check("online/d0", motion[:1])
    golden.check("online/motion", motion[overlap:])


def laid_on(
    golden: MotionGolden, case: str, made: DittoGenerator, face: SourceFace, keypoints: Tensor, passes: int
) -> None:
    """The stored motion on a face, and stitched: from stored numbers errors do not add up."""
    frames = torch.arange(len(golden(f"{case}/motion")))
    shown = back_and_forth(frames, len(face))
    golden.check(f"{case}/frame", shown)
    driving = BinnedMotion.of(golden(f"{case}/motion"))
    controls = made.controls(len(frames), golden.cases[case]["options"].get("random_seed", 0))
    motion = Application(face, driving[:1], made.applying(face))(driving, frames, controls)
    pose = motion.pose
    x_d = place(keypoints[shown], pose.rotation, motion.expression, pose.translation, pose.scale)
    x_s = source_placed(replace(face, keypoints=keypoints), frames)
    golden.check(f"{case}/x_s", x_s[:passes])
    golden.check(f"{case}/x_d_before_stitching", x_d)
    golden.check(f"{case}/x_d", filled_stitching(golden).stitching(x_s, golden(f"{case}/x_d_before_stitching")))


def test_the_whole_chain_of_a_picture(golden: MotionGolden, network: DittoNetwork) -> None:
    told = golden.cases["e2e_image"]["options"]
    fades = {"d0": "first", "s": "source"}
    parts = {"exp": "expression", "t": "translation"}
    settings = DittoSettings(
        reset=told["fix_kp_cond"],
        kept=tuple(told["fix_kp_cond_dim"]),
        smoothing=told["smo_k_d"],
        fade=fades[told["fade_type"]],
        fade_parts=tuple(parts.get(name, name) for name in told["fade_keys"]),
        fade_in=told["fade_in"],
        fade_out=told["fade_out"],
        offsets=(float(told["delta_pitch"]), None, None),
        blinks=told["blink_open"],
    )
    data = DittoData(
        emotions=golden("e2e_image/emo"),
        blink_table=golden("e2e_image/delta_eye_arr").unflatten(-1, (-1, 3)),
        limits=limits(golden),
        character=face_of(golden, "e2e_image/character"),
    )
    noise = GoldenNoise(golden, "e2e_image/x_T", "e2e_image/noise", range(told["steps"] - 1))
    made = DittoGenerator(network, data, settings, noise=lambda seed: noise)
    face, options = face_of(golden, "e2e_image/source"), options_of(told["steps"], told["overlap"])
    request = asked(face, audio_of(golden, "e2e_image/audio"), replace(options, seed=told["random_seed"]))
    clip = made.clip(request, made.conditioned(request), options)
    frames = published_frames(told["samples"])
    golden.check("e2e_image/n", torch.tensor([told["samples"], frames, clip.windows, told["steps"]]))
    assert frames == len(request.audio)
    motion = torch.cat(list(made.numbers(request)))
    golden.check("e2e_image/motion", data.clamped(motion))
    laid_on(golden, "e2e_image", made, face, face.keypoints, 1)


def test_the_whole_chain_of_a_video(golden: MotionGolden, network: DittoNetwork) -> None:
    told = golden.cases["e2e_video"]["options"]
    face, options = face_of(golden, "e2e_video/source"), options_of(told["steps"], told["overlap"])
    noise = GoldenNoise(golden, "e2e_video/x_T", "e2e_video/noise", range(told["steps"] - 1))
    data = DittoData(limits=limits(golden), emotions=emotion_row([told["emotion"]])[None])
    settings = DittoSettings(reset=told["fix_kp_cond"], drive=FACE_ONLY_DRIVE, drive_eyes=False)
    made = DittoGenerator(network, data, settings, noise=lambda seed: noise)
    request = asked(face, audio_of(golden, "e2e_video/audio"), options)
    clip = made.clip(request, Conditioned.of(face), options)
    frames = published_frames(told["samples"])
    golden.check("e2e_video/n", torch.tensor([told["samples"], frames, clip.windows, told["steps"]]))
    motion = torch.cat(list(sampled(network, SCHEDULE, clip, options, noise)))
    golden.check("e2e_video/motion", data.clamped(motion))
    calm = smoothed(face)
    laid_on(golden, "e2e_video", made, calm, calm.keypoints, len(calm))


def test_nothing_was_left_out(golden: MotionGolden) -> None:
    """Run after the others: every expected number was compared, and every case of the file has its test."""
    if len(outputs_left(golden)) > len(golden.about) // 4:
        pytest.skip("only some of the cases were run")
    assert outputs_left(golden) == []
