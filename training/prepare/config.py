"""Options of `prepare`, and the steps that they configure."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

from playmate_core.detection.detect import detector
from playmate_core.errors import UserError
from playmate_core.weights.files import load_face, tensor_hash
from playmate_core.weights.folders import bundled

from .encode import Encode
from .engine import ENGINES, Plan
from .filters import Limits
from .layouts import LAYOUTS
from .motion import ReadMotion
from .probe import ProbeFile, content_hash
from .shots import Shots
from .speech import DetectSpeech
from .sync import Sync
from .syncnet import load_syncnet
from .tracks import MakeDetector, Track, choose_detector

STORE = "work"
_PACKAGES = {"scenedetect": "scenedetect", "silero_vad": "silero-vad", "pyarrow": "pyarrow", "matplotlib": "matplotlib"}


@dataclass(frozen=True)
class PrepareConfig:
    """``source`` laid out as ``layout`` becomes ``out``.

    ``labels``: the CSV or list that names the clips, where it does not lie in the source. ``license`` and
    ``description`` travel into every model. ``face``: whose M reads motion, a file or LivePortrait's folder ("": the
    bundled one). ``syncnet``: SyncNet's weights ("": the substitute). ``pixels``: side of the videos for `face`, 0 for
    none. ``gpus``, ``ray_address``: for --engine ray.
    """

    source: str = ""
    layout: str = "plain"
    out: str = "data/prepared"
    labels: str = ""
    license: str = ""
    description: str = ""
    face: str = ""
    detector: str = "auto"
    syncnet: str = ""
    pixels: int = 0
    device: str = "auto"
    engine: str = "pool"
    workers: int = 2
    gpus: float = 0.0
    ray_address: str = ""
    shard_clips: int = 1000
    shard_megabytes: float = 512.0
    limits: Limits = field(default_factory=Limits)


def check(config: PrepareConfig) -> None:
    """Raise UserError for invalid values, or a package that is missing, before slow work."""
    if not config.source:
        raise UserError("Give the folder of videos: python -m training prepare SOURCE --layout plain --out DATA.")
    if config.layout not in LAYOUTS:
        raise UserError(f"--layout is {config.layout!r}, expected one of {', '.join(LAYOUTS)}.")
    if config.engine not in ENGINES:
        raise UserError(f"--engine is {config.engine!r}, expected one of {', '.join(ENGINES)}.")
    for name in ("workers", "shard_clips"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(config, name)}, expected at least 1.")
    if config.pixels and not (64 <= config.pixels <= 1024 and config.pixels % 2 == 0):
        raise UserError(f"--pixels is {config.pixels}, expected 0, or an even number from 64 to 1024.")
    limits = config.limits
    if not 0 < limits.shortest <= limits.longest / 2:
        raise UserError(
            f"Clips of {limits.shortest:g} to {limits.longest:g} s cannot be cut; give --limits-shortest at most half"
            " of --limits-longest."
        )
    if missing := [package for module, package in _PACKAGES.items() if find_spec(module) is None]:
        raise UserError(f"`prepare` needs {', '.join(missing)}; run `pip install {' '.join(missing)}`.")


def make_plan(config: PrepareConfig, make_detector: MakeDetector | None = None) -> Plan:
    """The steps in order. ``make_detector`` replaces the detector by a function that other processes can import.

    Raises UserError where a model is missing or damaged.
    """
    # absolute: the workers of a cluster stand in folders of their own
    root, limits = Path(config.source).absolute(), config.limits
    face = str(Path(config.face).absolute() if config.face else bundled("face.safetensors"))
    syncnet = str(Path(config.syncnet).absolute()) if config.syncnet else ""
    face_hash = tensor_hash(load_face(Path(face)).motion)
    if syncnet:
        load_syncnet(Path(syncnet))
    name = config.detector if make_detector else choose_detector(config.detector)
    make = make_detector or partial(detector, name)
    device = _device(config)
    steps = (
        ProbeFile(root),
        Shots(root, limits.shortest, limits.longest),
        DetectSpeech(root),
        Track(root, name, make),
        ReadMotion(root, face, face_hash, device),
        Sync(root, syncnet, content_hash(Path(syncnet)) if syncnet else "", device),
        Encode(root, config.pixels),
    )
    return Plan(steps, Path(config.out).absolute() / STORE, limits, root)


def _device(config: PrepareConfig) -> str:
    if config.device != "auto":
        return config.device
    if config.engine == "ray":
        return "cuda" if config.gpus else "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"
