"""Ditto's generator is the reference's: every golden case of data/goldens."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from motion_goldens import GoldenNoise, MotionGolden, filled_stitching, outputs_left
from torch import Tensor

from playmate_core.detection.ditto_pictures import limited_size, paste_mask
from playmate_core.diffusion.ditto.apply import Application
from playmate_core.diffusion.ditto.blink import DISCARDED, DISTANCES, blink_rows, fade_shares
from playmate_core.diffusion.ditto.conditioning import Conditioned
from playmate_core.diffusion.ditto.conditions import condition_rows, emotion_row, for_call, in_turn
from playmate_core.diffusion.ditto.config import STEPS, DittoConfig
from playmate_core.diffusion.ditto.controls import FILM, PARTS, Applying, Drive, FrameControls
from playmate_core.diffusion.ditto.eyes import eye_features
from playmate_core.diffusion.ditto.generator import DittoGenerator
from playmate_core.diffusion.ditto.guidance import guided
from playmate_core.diffusion.ditto.layout import EMOTIONS, BinnedMotion
from playmate_core.diffusion.ditto.network import DittoNetwork, step_embedding
from playmate_core.diffusion.ditto.rotary import rotated
from playmate_core.diffusion.ditto.sampling import sampled
from playmate_core.diffusion.ditto.schedule import cosine_schedule
from playmate_core.diffusion.ditto.settings import DittoData, DittoSettings
from playmate_core.diffusion.ditto.source import SourceFace, back_and_forth, centred_mean, smoothed
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.request import GenerationRequest, PortraitDetails, joined
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
def golden() -> MotionGolden:
    return MotionGolden("ditto")


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
    heard = network(x, frame, network.heard(cond), steps)
    unheard = network(x, frame, network.unheard(len(x)), steps)
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


# Conditions.


def face_of(golden: MotionGolden, prefix: str, eyes: str | None = None) -> SourceFace:
    scale, t, exp, kp, *angles = golden.group(prefix, "scale", "t", "exp", "kp", "pitch", "yaw", "roll")
    motion = BinnedMotion(scale, torch.stack(angles, 1), t, exp.unflatten(-1, (-1, 3)))
    opened, balls = torch.zeros(1, 2), torch.zeros(1, 6)
    if f"{prefix}/eye_open" in golden.about:
        opened, balls = golden.group(prefix, "eye_open", "eye_ball")
    return SourceFace(motion, kp.unflatten(-1, (-1, 3)), opened, balls)


def driving_of(golden: MotionGolden) -> BinnedMotion:
    scale, t, exp, *angles = golden.group("stitch/driving", "scale", "t", "exp", "pitch", "yaw", "roll")
    return BinnedMotion(scale, torch.stack(angles, 1), t, exp.unflatten(-1, (-1, 3)))


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


def test_emotions(golden: MotionGolden) -> None:
    assert golden.facts["emotion_order"] == [  # ours by its names
        {"disgusted": "disgust", "surprised": "surprise"}.get(name, name) for name in EMOTIONS
    ]
    rows = golden("emotion/array")
    for name in ("cyclic", "negative"):
        first, last = re.search(r"frames (-?\d+) \.\.\. (-?\d+)", golden.about[f"emotion/{name}"]["note"]).groups()  # type: ignore[union-attr]
        golden.check(f"emotion/{name}", in_turn(rows, torch.arange(int(first), int(last) + 1)))
    label = int(re.search(r"label (\d+)", golden.about["emotion/call_label"]["note"])[1])  # type: ignore[index]
    frames = len(golden("emotion/call_label"))
    golden.check("emotion/call_label", for_call(emotion_row([label])[None], frames))
    golden.check("emotion/call_longer", for_call(rows, len(golden("emotion/call_longer"))))


@pytest.mark.parametrize("case", ["eyes", "eyes01"])
def test_eye_features(golden: MotionGolden, case: str) -> None:
    opened, balls = eye_features(golden(f"{case}/landmarks"))
    golden.check(f"{case}/open", opened)
    golden.check(f"{case}/ball", balls)


def test_source_films(golden: MotionGolden) -> None:
    for name in ("scale", "pitch", "t", "exp", "kp"):
        values = golden(f"source_smooth/in/{name}")
        frames = int(golden.about[f"source_smooth/out/{name}"]["note"].split()[-1])
        golden.check(f"source_smooth/out/{name}", centred_mean(values, frames))
    even = int(re.search(r"window '(\d+)'", golden.about["source_smooth/out4/t"]["note"])[1])  # type: ignore[index]
    golden.check("source_smooth/out4/t", centred_mean(golden("source_smooth/in/t"), even))
    lengths = re.search(r"rows: (.*) source", golden.about["mirror"]["note"])[1]  # type: ignore[index]
    frames_ = torch.arange(golden("mirror").shape[1])
    golden.check("mirror", torch.stack([back_and_forth(frames_, int(n)) for n in lengths.split(",")]))


def test_blinks_and_fades(golden: MotionGolden) -> None:
    draws = golden("blink/draws")
    seed = int(re.search(r"seed\((\d+)\)", golden.about["blink/draws"]["note"])[1])  # type: ignore[index]
    chance = Random(seed)
    golden.check("blink/draws", torch.tensor([chance.randint(*DISTANCES) for _ in draws]))
    for name in ("none", "fixed", "list", "random", "short"):
        note = golden.about[f"blink/{name}"]["note"]
        told = json.loads(re.search(r"open setting (\[.*?\]|-?\d+)", note)[1])  # type: ignore[index]
        length = int(re.search(r"(\d+)-frame table", note)[1])  # type: ignore[index]
        setting = tuple(told) if isinstance(told, list) else told
        golden.check(f"blink/{name}", blink_rows(len(golden(f"blink/{name}")), setting, Random(seed), length))
    chance = Random(seed)
    blink_rows(DISCARDED, 0, chance)
    golden.check("blink/pipeline", blink_rows(len(golden("blink/pipeline")), 0, chance))
    for name in golden.cases["fade_table"]["tensors"]:
        shares = fade_shares(*(int(n) for n in name.split("/")[1].split("_")))
        golden.check(name, shares.nan_to_num(-1.0))


# Audio.


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


# Applying.

#: The settings that the descriptions of the cases name, in our words.
CASES: dict[str, tuple[Applying, dict[str, Any]]] = {
    "stitch/plain": (Applying(), {}),
    "stitch/eyes_from_source": (Applying(drive_eyes=False), {}),
    "stitch/pitch_offset": (Applying(), {"offset": (2, None, None)}),
    "stitch/absolute": (Applying(mode="absolute"), {}),
    "stitch/fade": (Applying(fade="first"), {"fade": (0, 1 / 3, 2 / 3, 1)}),
    "stitch/voice_gate": (Applying(), {"gate": 0.25}),
    "ctrl/alpha_logits": (Applying(), {"factor": (0.5, 0.7, 1.5)}),
    "ctrl/alpha_degrees": (Applying(), {"factor": (0.5, 0.7, 1.5), "offset": (2, 0, -1)}),
    "ctrl/alpha_mixed": (Applying(), {"factor": (0.5, 0.5, 1), "offset": (2, None, None), "frame 2": (5, None, None)}),
    "ctrl/delta_exp": (Applying(), {"gate": 0.5, "expression": "ctrl/delta_exp_in"}),
    "ctrl/keys_tuple": (Applying(Drive(yaw=None, roll=None, translation=None)), {}),
    "ctrl/keys_dict": (Applying(Drive(0.8, 0.5, 1.2, None, 0.3)), {}),
    "ctrl/keys_dict_absolute": (Applying(Drive(0.8, 0.5, 1.2, 1.0, 0.3), mode="absolute"), {}),
    "ctrl/gaze_offset": (Applying(), {"offset": (2, -4, None)}),
    "ctrl/gaze_offset_eyes_off": (Applying(drive_eyes=False), {"offset": (2, -4, None)}),
    "ctrl/fade_s": (
        Applying(fade="source", fade_parts=("expression", "pitch", "translation")), {"fade": (1, 0.75, 0.5, 0.25)},
    ),
    "ctrl/fade_d0_keys": (
        Applying(fade="first", fade_parts=("expression", "pitch", "yaw")),
        {"offset": (2, None, None), "fade": (1, 0.75, 0.5, 0.25)},
    ),
    "ctrl/fade_d0_late": (
        Applying(fade="first", fade_parts=("expression", "translation")), {"fade": (None, None, 0.25, 0.25)},
    ),
    "ctrl/fade_all_keys": (Applying(fade="first", fade_parts=PARTS), {"fade": (0.5,) * 4}),
    "ctrl/fade_off": (Applying(), {"fade": (0, 1 / 3, 2 / 3, 1)}),
}  # fmt: skip


def controls_of(golden: MotionGolden, asked: dict[str, Any], frames: int) -> FrameControls:
    made = FrameControls.none(frames)
    numbers = {
        name: [math.nan if n is None else float(n) for n in asked[name]] for name in ("offset", "fade") if name in asked
    }
    if "offset" in numbers:
        made.offset[:] = torch.tensor(numbers["offset"])
    if "frame 2" in asked:
        made.offset[2] = torch.tensor([math.nan if n is None else float(n) for n in asked["frame 2"]])
    if "fade" in numbers:
        made.fade[:] = torch.tensor(numbers["fade"])
    if "factor" in asked:
        made.factor[:] = torch.tensor(asked["factor"])
    if "gate" in asked:
        made.gate[:] = asked["gate"]
    if "expression" in asked:
        made.expression[:] = golden(asked["expression"]).unflatten(-1, (-1, 3))
    return made


def placed(golden: MotionGolden, prefix: str, applying: Applying, controls: FrameControls, begin: int = 0) -> Tensor:
    """The key points of the four driving frames on a golden source, laid on in two pieces."""
    face, driving = face_of(golden, prefix), driving_of(golden)
    frames = torch.arange(begin, begin + len(driving))
    lay = Application(face, driving[:1], applying)
    motion = joined([lay(driving[part], frames[part], controls[part]) for part in (slice(0, 1), slice(1, None))])
    pose = motion.pose
    keypoints = face.keypoints[back_and_forth(frames, len(face))]
    return place(keypoints, pose.rotation, motion.expression, pose.translation, pose.scale)


def source_placed(face: SourceFace, frames: Tensor) -> Tensor:
    shown = back_and_forth(frames, len(face))
    rest = face.motion[shown].in_degrees()
    pose = rest.pose
    return place(face.keypoints[shown], pose.rotation, rest.expression, pose.translation, pose.scale)


@pytest.mark.parametrize("case", list(CASES))
def test_applying(golden: MotionGolden, case: str) -> None:
    applying, asked = CASES[case]
    controls = controls_of(golden, asked, len(driving_of(golden)))
    golden.check(case, placed(golden, "source", applying, controls))
    golden.check("stitch/x_s", source_placed(face_of(golden, "source"), torch.zeros(1, dtype=torch.int64)))


@pytest.mark.parametrize("case, begin, offset", [
    ("stitch/blink", 22, (None, None, None)), ("ctrl/gaze_offset_blink", 18, (2, 3, None)),
])  # fmt: skip
def test_blinking(golden: MotionGolden, case: str, begin: int, offset: tuple[float | None, ...]) -> None:
    table = golden("stitch/blink_table").unflatten(-1, (-1, 3))
    frames = len(driving_of(golden))
    rows = blink_rows(DISCARDED, 20, Random(0), len(table))[begin : begin + frames]
    controls = replace(controls_of(golden, {"offset": offset}, frames), eyes=table[rows])
    golden.check(case, placed(golden, "source", Applying(), controls, begin))


@pytest.mark.parametrize("case, drive", [("stitch/rescaled", Drive()), (
    "ctrl/keys_dict_reference", Drive(0.8, 0.5, None, None, 0.3),
)])  # fmt: skip
def test_a_reference_character(golden: MotionGolden, case: str, drive: Drive) -> None:
    ratio = float(golden("stitch/reference_scale") / golden("source/scale"))
    none = FrameControls.none(len(driving_of(golden)))
    golden.check(case, placed(golden, "source", Applying(drive, ratio=ratio), none))


@pytest.mark.parametrize("case, applying", [
    ("ctrl/video_default", Applying(FILM, drive_eyes=False)), ("ctrl/video_eyes", Applying()),
])  # fmt: skip
def test_films(golden: MotionGolden, case: str, applying: Applying) -> None:
    none = FrameControls.none(len(driving_of(golden)))
    golden.check(case, placed(golden, "ctrl/video_source", applying, none))
    golden.check("ctrl/video_x_s", source_placed(face_of(golden, "ctrl/video_source"), torch.arange(len(none.gate))))


# Whole clips.


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


def asked(face: SourceFace, audio: AudioFeatures, options: SamplingOptions) -> GenerationRequest:
    still = face.motion[:1].in_degrees()
    details = PortraitDetails(face.motion.angles[:1], face.eyes_open, face.eye_balls)
    return GenerationRequest(face.keypoints[0], still, audio, options=options, details=details)


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
    pieces = list(sampled(network, SCHEDULE, clip, options, noise, seen=frames.append))
    golden.check(f"offline/{case}/cond_frames", torch.stack(frames))
    golden.check(f"offline/{case}/motion", made.data.within_limits(torch.cat(pieces)))


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
    motion = made.data.within_limits(torch.cat(pieces))
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
    golden.check("e2e_image/motion", data.within_limits(motion))
    laid_on(golden, "e2e_image", made, face, face.keypoints, 1)


def test_the_whole_chain_of_a_film(golden: MotionGolden, network: DittoNetwork) -> None:
    told = golden.cases["e2e_video"]["options"]
    face, options = face_of(golden, "e2e_video/source"), options_of(told["steps"], told["overlap"])
    noise = GoldenNoise(golden, "e2e_video/x_T", "e2e_video/noise", range(told["steps"] - 1))
    data = DittoData(limits=limits(golden), emotions=emotion_row([told["emotion"]])[None])
    settings = DittoSettings(reset=told["fix_kp_cond"], drive=FILM, drive_eyes=False)
    made = DittoGenerator(network, data, settings, noise=lambda seed: noise)
    request = asked(face, audio_of(golden, "e2e_video/audio"), options)
    clip = made.clip(request, Conditioned.of(face), options)
    frames = published_frames(told["samples"])
    golden.check("e2e_video/n", torch.tensor([told["samples"], frames, clip.windows, told["steps"]]))
    motion = torch.cat(list(sampled(network, SCHEDULE, clip, options, noise)))
    golden.check("e2e_video/motion", data.within_limits(motion))
    calm = smoothed(face)
    laid_on(golden, "e2e_video", made, calm, calm.keypoints, len(calm))


# Pictures.


def test_pictures(golden: MotionGolden) -> None:
    sizes = golden("resize")[:, :2].tolist()
    golden.check("resize", torch.tensor([[h, w, *limited_size(h, w)] for h, w in sizes]))
    row, corner = golden("paste_mask/row"), len(golden("paste_mask/corner"))
    mask = torch.from_numpy(paste_mask(len(row)))
    golden.check("paste_mask/corner", mask[:corner, :corner])
    golden.check("paste_mask/corner_br", mask[-corner:, -corner:])
    golden.check("paste_mask/row", mask[len(row) // 2])
    golden.check("paste_mask/sum", mask.double().sum())


def test_nothing_was_left_out(golden: MotionGolden) -> None:
    """Run after the others: every expected number was compared, and every case of the file has its test."""
    if len(outputs_left(golden)) > len(golden.about) // 4:
        pytest.skip("only some of the cases were run")
    assert outputs_left(golden) == []
