"""``python -m training evaluate --videos GENERATED --truth REAL``: the paper's Tables 1 and 2 on any videos of faces.

Each figure of the paper is given by its published network or left out; judges that packages ship stand beside them
under their own names. What is missing is reported as "skipped: FILE".
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playmate_core.detection.detect import detector
from playmate_core.detection.detectors import Detector, available
from playmate_core.errors import UserError
from playmate_core.host import HOST
from playmate_core.values import EMOTIONS
from playmate_core.weights.folders import below, file_hash
from training.config import parse
from training.evaluate.videos import report
from training.evaluate.videos.clips import Paths, find_pairs, open_clip
from training.evaluate.videos.emotion_figures import emotion
from training.evaluate.videos.figures import Figure, Measure
from training.evaluate.videos.frechet_figures import fid, fvd
from training.evaluate.videos.identity_figures import csim, dlib_identity
from training.evaluate.videos.lip_figures import lips
from training.evaluate.videos.lpips_figures import lpips
from training.evaluate.videos.sync_figures import sync

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideosConfig:
    """``videos`` and ``truth`` are folders (or two files) of videos of the same names.

    ``portraits``: pictures of the same names, where another picture than the real video's first frame was animated.
    ``labels``: a CSV table with the columns clip, and emotion (the one asked for) or text (the words said).
    ``sampler``, ``seeds``: what the videos were made with, where they do not tell; ``weights``: the model files they
    were made with, comma-separated, of which the report tells the hashes.
    """

    videos: str = ""
    truth: str = ""
    portraits: str = ""
    labels: str = ""
    out: str = "runs/videos"
    models: str = ""  # a models folder to be searched first
    device: str = "cpu"  # or "cuda"
    sampler: str = ""
    seeds: str = ""
    weights: str = ""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, store it as Markdown and JSON."""
    config = parse(VideosConfig, argv, __doc__ or "")
    named = [Path(config.models)] if config.models else []
    HOST.set_model_folders(lambda category: below(named, category))
    pairs = pairs_of(config)
    stated = {"sampler": config.sampler, "seeds": config.seeds, "models": hashes(config.weights)}
    look = face_detector()
    logger.info("%d clips; looking for faces.", len(pairs))
    clips = [open_clip(pair, look) for pair in pairs]
    figures: list[Figure] = [figure for measure in measures(config.device) for figure in measure(clips)]
    crop = "one square a video around the face by MediaPipe's landmarks" if look else "largest square in the middle"
    facts = report.run_facts(clips, pairs, stated, crop)
    report.write(Path(config.out), figures, facts)
    sys.stdout.write(report.markdown(figures, facts))


def measures(device: str) -> tuple[Measure, ...]:
    """The paper's figures, then those of judges that packages ship."""
    paper = (fid(device), fvd(device), sync(device), csim(), lpips(device), emotion())
    return (*paper, dlib_identity(), lips())


def face_detector() -> Detector | None:
    """MediaPipe, whose 478 landmarks all judges share; None where it or its model is absent."""
    return detector("mediapipe") if "mediapipe" in available() else None


def pairs_of(config: VideosConfig) -> list[Paths]:
    """The clips a config names. Raises UserError for invalid flags, before the slow part."""
    if not config.videos or not config.truth:
        raise UserError("Give both --videos (the generated videos) and --truth (the real ones).")
    if config.device != "cpu" and not _device_there(config.device):
        raise UserError(f"--device is {config.device!r}, which this PyTorch does not have; expected cpu or cuda.")
    pairs = find_pairs(
        Path(config.videos),
        Path(config.truth),
        Path(config.portraits) if config.portraits else None,
        Path(config.labels) if config.labels else None,
    )
    for pair in pairs:
        if pair.label.emotion not in ("", *EMOTIONS):
            raise UserError(
                f"{config.labels} asks for {pair.label.emotion!r} of {pair.name}; the emotions are"
                f" {', '.join(EMOTIONS)}."
            )
    return pairs


def hashes(names: str) -> str:
    """Comma-separated model files as "name sha256[:12]"."""
    described = []
    for path in (Path(name.strip()) for name in names.split(",") if name.strip()):
        if not path.is_file():
            raise UserError(
                f"--weights names {path}, where there is no file; give the files the videos were made with."
            )
        described.append(f"{path.name} {file_hash(path)[:12]}")
    return ", ".join(described)


def _device_there(name: str) -> bool:
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError):
        return False
    return True
