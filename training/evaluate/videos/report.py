"""The table of figures as Markdown and JSON, with everything a second run needs to give the same numbers."""

from __future__ import annotations

import json
import math
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from playmate_core.atomic_file import write_atomically
from playmate_core.media.audio_files import open_medium
from playmate_core.weights.folders import file_hash
from training.evaluate.videos.clips import SYSTEMS, ClipVideos, Paths
from training.evaluate.videos.figures import Figure

#: What a graph stored in a video says of its sampling.
_SAMPLING = ("seed", "noise_seed", "steps", "sampler", "sampler_name", "audio_scale", "emotion_scale", "eta")
_PACKAGES = ("torch", "numpy", "scipy", "torchmetrics", "mediapipe", "dlib-bin", "pocketsphinx", "onnxruntime")


def video_facts(path: Path) -> dict[str, Any]:
    """A video's own account: hash, codec, size, rate, bits a second, and the sampling its stored graph tells."""
    with open_medium(path, "video") as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        facts = {
            "file": path.name,
            "sha256": file_hash(path),
            "codec": f"{context.name} {context.pix_fmt}",
            "size": [context.width, context.height],
            "fps": round(float(stream.average_rate or 0), 3),
            "bits_per_second": int(stream.bit_rate or container.bit_rate or 0),
        }
        sampling = sampling_of(container.metadata.get("prompt", ""))
    return {**facts, "sampling": sampling} if sampling else facts


def sampling_of(prompt: str) -> dict[str, list[Any]]:
    """Seeds, steps and the like from the nodes of a graph as ComfyUI stores it; empty where there is none."""
    try:
        nodes = json.loads(prompt or "{}")
        inputs = [node["inputs"] for node in nodes.values() if isinstance(node.get("inputs"), dict)]
    except (ValueError, AttributeError, TypeError):
        return {}
    found = {name: [one[name] for one in inputs if isinstance(one.get(name), int | float | str)] for name in _SAMPLING}
    return {name: values for name, values in found.items() if values}


def commit() -> str:
    """The checkout's commit, marked where files differ from it; the package's version outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"no checkout, version {_version('playmate-portrait')}"


def run_facts(
    clips: Sequence[ClipVideos], pairs: Sequence[Paths], stated: Mapping[str, str], crop: str
) -> dict[str, Any]:
    """Everything beside the figures. ``stated`` is what the caller says of the generating system."""
    generated = {pair.name: video_facts(pair.generated) for pair in pairs}
    seeds = sorted({str(s) for one in generated.values() for s in one.get("sampling", {}).get("seed", [])})
    unknown = "not stated (neither a flag nor the files tell)"
    return {
        "commit": commit(),
        "sampler": stated.get("sampler") or _told(generated, ("sampler", "sampler_name", "steps")) or unknown,
        "seeds": stated.get("seeds") or " ".join(seeds) or unknown,
        "models": stated.get("models") or unknown,
        "codec": ", ".join(sorted({one["codec"] for one in generated.values()})),
        "frames": sum(clip.frames for clip in clips),
        "clips": len(clips),
        "crop": crop,
        "packages": ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name))),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "films": {
            pair.name: {"generated": generated[pair.name], "ground truth": video_facts(pair.truth),
                        "frames": clip.frames, "same picture": clip.alike, "faces found": dict(clip.found)}
            for pair, clip in zip(pairs, clips, strict=True)
        },
    }  # fmt: skip


def markdown(figures: Sequence[Figure], facts: Mapping[str, Any]) -> str:
    """The table, and the facts that fit a line."""
    lines = ["# Generated against real videos", ""]
    lines += [f"- {key}: {value}" for key, value in facts.items() if not isinstance(value, dict)]
    lines += ["", "| figure | better | " + " | ".join(SYSTEMS) + " | judge | on |", "|---" * 7 + "|"]
    for one in figures:
        cells = [f"skipped: {one.skipped}", "", ""] if one.skipped else [shown(one.values[s]) for s in SYSTEMS]
        lines.append("| " + " | ".join([one.name, one.better, *cells, one.judge, one.note]) + " |")
    return "\n".join(lines) + "\n"


def shown(value: float) -> str:
    """Three digits behind the point, one where there are many before it; a dash where it is undefined."""
    if math.isnan(value):
        return "-"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"


def write(folder: Path, figures: Sequence[Figure], facts: Mapping[str, Any]) -> None:
    """Write videos.md and videos.json, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "videos.md", markdown(figures, facts).encode())
    content = {"facts": facts, "figures": [asdict(one) for one in figures]}
    write_atomically(folder / "videos.json", json.dumps(_plain(content), indent=1, allow_nan=False).encode())


def _plain(value: Any) -> Any:
    """JSON knows no NaN: what is undefined is null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _told(videos: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> str:
    found = {name: {str(v) for one in videos.values() for v in one.get("sampling", {}).get(name, [])} for name in names}
    return ", ".join(f"{name} {' '.join(sorted(values))}" for name, values in found.items() if values)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
