"""The sections of :mod:`benchmarks.device`: each returns what it measured, ready for JSON; "rows" become a table."""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.fast import build_fast_face
from playmate_core.rendering.device import to_device
from playmate_core.rendering.portrait import exact_to, move_to, to_shown
from playmate_core.rendering.render import RenderOptions, driving_keypoints

from .clock import alternate, measured_peak
from .contenders import Contender, as_they_do, autocast_of
from .device_profile import profiled
from .graphs import GraphedDraw
from .reference import Draw, load_reference
from .render import compare, flop_per_frame
from .subject import BUNDLED, SEEDED, BenchmarkCase, make_case


def run_section(options: argparse.Namespace) -> dict[str, Any]:
    """The section named by ``options.section``."""
    sections: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
        "machine": machine,
        "networks": networks,
        "talk": talk_of_ten_seconds,
        "outside": outside,
        "compiled": compiled,
        "profile": profile_of_ours,
    }
    with torch.inference_mode():
        return sections[options.section](options)


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """The peak that products reach, and what a frame of LivePortrait's size takes of it."""
    device = torch.device(options.device)
    peak = 1e9 if options.tiny else measured_peak(device)  # its products of 8192 are no test
    flop = flop_per_frame(_config(options))
    free = torch.cuda.mem_get_info()[1] / 1e9 if device.type == "cuda" else 0.0
    return {
        "measured peak, TFLOP/s": peak / 1e12,
        "a frame of W and G, GFLOP": flop / 1e9,
        "floor, ms a frame": 1000 * flop / peak,
        "memory of the card, GB": free,
    }


def networks(options: argparse.Namespace) -> dict[str, Any]:
    """W and G eager, the reference's and ours, and ours in CUDA graphs, at every batch."""
    subject = _subject(options, max(options.batches))
    face, on_card = subject.face, options.device != "cpu"
    half = to_device(copy.deepcopy(face), options.device, "fp16" if on_card else "fp32")
    field: dict[str, Contender] = {}
    if options.reference:
        plain = load_reference(options.reference, face)
        field["reference, eager fp32"] = Contender("", plain, as_they_do)
        field["reference, autocast"] = Contender("", autocast_of(plain), as_they_do)
    else:
        field["ours, plain modules fp32"] = Contender("", face.draw, to_shown)
    profile = "half" if on_card else "structure"
    draw = build_fast_face(half, profile).draw
    field[f"ours, {profile}"] = Contender("", draw, to_shown)
    notes: dict[str, Any] = {}
    rows = []
    for batch in options.batches:
        more = dict(field)
        if on_card:
            try:
                more["ours, CUDA graph"] = Contender("", GraphedDraw(draw, _inputs(subject, half, batch)), to_shown)
            except Exception as problem:  # what cannot be captured depends on torch, driver and card
                notes[f"CUDA graph at batch {batch}"] = f"not captured: {_one_line(problem)}"
        rows += _timed(options, subject, more, batch)
    return {**notes, "rows": rows}


def profile_of_ours(options: argparse.Namespace) -> dict[str, Any]:
    """Where the time of our half-precision W and G goes, at the second largest batch."""
    batch = sorted(options.batches)[-2:][0]
    subject = _subject(options, batch)
    half = to_device(copy.deepcopy(subject.face), options.device, "fp16" if options.device != "cpu" else "fp32")
    fast, inputs = build_fast_face(half, "half"), _inputs(subject, half, batch)
    return profiled(options, lambda: fast.draw(*inputs), batch)


def compiled(options: argparse.Namespace) -> dict[str, Any]:
    """The reference compiled in half precision, and ours compiled, at batch 1 and 8."""
    if options.device == "cpu" and not options.tiny:
        return {"skipped": "torch.compile is timed on a card only"}
    subject = _subject(options, 8)
    half = to_device(copy.deepcopy(subject.face), options.device, "fp16" if options.device != "cpu" else "fp32")
    plain = build_fast_face(half, "half" if options.device != "cpu" else "structure").draw
    ways: dict[str, Callable[[], Draw]] = {"ours, compiled": lambda: torch.compile(plain, mode="reduce-overhead")}
    if options.reference:
        ways["reference, compiled half"] = lambda: load_reference(options.reference, subject.face, compiled=True)
    notes: dict[str, Any] = {}
    rows = []
    if options.tiny:
        ways = {"ours, compiled": lambda: torch.compile(plain, backend="eager")}
    for name, make in reversed(ways.items()):
        begun = time.monotonic()
        try:
            draw = make()
            for batch in [b for b in (1, 8) if b in options.batches]:
                rows += _timed(options, subject, {name: Contender("", draw, to_shown)}, batch)
        except Exception as problem:  # a compiler's own kinds
            notes[name] = f"not compiled: {_one_line(problem)}"
        notes[f"{name}, seconds with its compilation"] = round(time.monotonic() - begun, 1)
    return {**notes, "rows": rows}


def talk_of_ten_seconds(options: argparse.Namespace) -> dict[str, Any]:
    """``talk`` end to end, its stages, the sampler alone, and the first frame with warm models."""
    from playmate_core.pipelines.models import Weights
    from playmate_core.pipelines.talk import TalkRequest, talk
    from playmate_core.weights.files import save
    from playmate_core.weights.folders import bundled

    from .first_frame import measure, speech_of

    seconds = 1.0 if options.tiny else 10.0
    subject = _subject(options, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        face, speech = folder / "face.safetensors", folder / "speech.wav"
        save(subject.face, face, license="none", data="random", training={})
        _write_wave(speech, speech_of(seconds))
        rendering = RenderOptions(batch=max(options.batches))
        request = TalkRequest(
            bundled("portrait.png"),
            speech,
            folder / "out.mp4",
            emotion="none",
            rendering=rendering,
            weights=Weights(face=face),
            crop="whole",
            limits=None,
            device=options.device,
        )
        talk(replace(request, output=folder / "first.mp4"))  # libraries load, kernels are chosen
        _forget_peak(options)
        begun = time.perf_counter()
        report = talk(request)
        wall = time.perf_counter() - begun
    warm = sum(taken for stage, taken in report.stages if stage != "load models")
    told = argparse.Namespace(**{**vars(options), "seconds": seconds, "batch": 1, "steps": 15, "turns": 2})
    first = measure(replace(subject, face=to_device(subject.face, options.device)), told)
    return {
        "speech, s": seconds,
        "frames": report.frames,
        "whole command, s": wall,
        "real-time factor, models loaded": warm / seconds,
        "peak memory, GB": _peak_memory(options),
        "first frame, warm models, s": first.streamed,
        "first frame, all motion first, s": first.sampled_first,
        "listening and sampling, s for a second of speech": first.motion_a_second,
        "rows": [{"stage": stage, "s": taken} for stage, taken in report.stages],
    }


def outside(options: argparse.Namespace) -> dict[str, Any]:
    """Paste-back into 1080p and encoding, by x264 and by the card."""
    from playmate_core.detection.crop import Paster, Square, crop_to_image

    height, width, frames = (108, 192, 8) if options.tiny else (1080, 1920, 96)
    random = torch.Generator().manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 27, 48, generator=random), (height, width))[0]
    plate = (255 * picture.movedim(0, -1)).byte().contiguous()
    paster = Paster(plate, crop_to_image(Square(width / 2, height / 2, height * 2 / 3), 512), 512)
    crops = torch.nn.functional.interpolate(torch.rand(8, 3, 32, 32, generator=random), (512, 512), mode="bicubic")
    batch = (255 * crops.clamp(0, 1)).byte().movedim(1, -1).contiguous()
    paster.paste(batch)
    begun = time.perf_counter()
    for _ in range(frames // 8):
        pasted = paster.paste(batch)
    rows = [{"step": "paste-back", "ms a frame": 1000 * (time.perf_counter() - begun) / frames}]
    for codec, title in (("libx264", "encoding, x264"), ("h264_nvenc", "encoding, on the card")):
        try:
            taken = _encoded(pasted.numpy(), frames // 8, codec)
            rows.append({"step": title, "ms a frame": 1000 * taken / frames})
        except Exception as problem:  # PyAV's own kinds; a build without it, a driver without it
            rows.append({"step": title, "ms a frame": f"not measured: {_one_line(problem)}"})
    return {"picture": f"{width} x {height}", "frames": frames, "rows": rows}


def _timed(
    options: argparse.Namespace, subject: BenchmarkCase, field: dict[str, Contender], batch: int
) -> list[dict[str, Any]]:
    """Rows of contenders that take turns at one batch size, errors against the plain networks in fp32."""
    face, device = subject.face, torch.device(options.device)
    inputs = _inputs(subject, face, batch)
    wanted = face.draw(*inputs).float().cpu()
    floor = flop_per_frame(face.config) / (1e9 if options.tiny else _known_peak(device))
    times = alternate(
        {name: lambda _turn, one=one: one.deliver(one.draw(*inputs)) for name, one in field.items()}, options.turns
    )
    base = next(iter(times.values())).wall_median
    rows = []
    for name, one in field.items():
        _forget_peak(options)
        drawn = one.draw(*inputs).float().cpu()
        error, psnr, levels, share = compare([wanted], [drawn])
        each = times[name].wall_median / batch
        rows.append(
            {
                "batch": batch,
                "contender": name,
                "ms a frame": 1000 * each,
                "ratio to the first": base / times[name].wall_median,
                "of peak": f"{floor / each:.0%}",
                "worst error": error,
                "PSNR, dB": min(psnr, 200.0),
                "grey levels": f"{levels}, {share:.2%}",
                "peak memory, GB": _peak_memory(options),
            }
        )
    return rows


_peaks: dict[str, float] = {}


def _known_peak(device: torch.device) -> float:
    if str(device) not in _peaks:
        _peaks[str(device)] = measured_peak(device)
    return _peaks[str(device)]


def _config(options: argparse.Namespace) -> FaceConfig:
    return FaceConfig.small() if options.tiny else FaceConfig()


def _subject(options: argparse.Namespace, frames: int) -> BenchmarkCase:
    return make_case(BUNDLED if options.tiny else SEEDED, frames, options.device)


def _inputs(subject: BenchmarkCase, face: FaceModel, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    volume = move_to(face, subject.portrait.appearance[None])
    options = RenderOptions(stitching=False)
    x_s, x_d = driving_keypoints(face, subject.portrait, subject.motion[:batch], options)
    return volume, exact_to(face, x_s), exact_to(face, x_d)


def _forget_peak(options: argparse.Namespace) -> None:
    if options.device != "cpu":
        torch.cuda.reset_peak_memory_stats()


def _peak_memory(options: argparse.Namespace) -> float | str:
    return torch.cuda.max_memory_allocated() / 1e9 if options.device != "cpu" else ""


def _write_wave(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


def _encoded(pictures: np.ndarray, batches: int, codec: str) -> float:
    """Seconds to encode a batch (n, H, W, 3) this many times."""
    import av

    with tempfile.TemporaryDirectory() as folder, av.open(str(Path(folder) / "out.mp4"), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], "yuv420p"
        frames = [av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures]
        container.mux(stream.encode(frames[0]))  # the encoder starts
        begun = time.perf_counter()
        for packet in _packets(stream, frames, batches):
            container.mux(packet)
        return time.perf_counter() - begun


def _packets(stream: Any, frames: list[Any], batches: int) -> Iterator[Any]:
    for _ in range(batches):
        for frame in frames:
            frame.pts = None
            yield from stream.encode(frame)
    yield from stream.encode(None)


def _one_line(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {str(problem).strip().splitlines()[0] if str(problem).strip() else ''}"[:200]
