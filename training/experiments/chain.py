"""``python -m training experiment chain``: is motion that M reads from pictures good enough to train on?

Rendered videos are read by M, both motion stages are trained on what it read and, as the control, on the true motion of
the same clips. Both systems then speak for unseen people from one picture each; an independent probe reads lips and
emotion from what is drawn. Every step is resumed by the same command; ``--step`` makes one of them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from playmate_core.diffusion.options import SamplingOptions
from playmate_core.errors import UserError
from playmate_core.speech import make_encoder
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training import stage1, stage2
from training.close_probe import CloseProbe, load_close_probe
from training.close_stage import CloseStageConfig, train_close
from training.config import parse
from training.corpus import CorpusConfig, make_corpus
from training.data import Sessions
from training.evaluate import judge
from training.evaluate.pixel_emotion import PixelJudge, fit_pixel_judge
from training.evaluate.rendered_clips import RenderedClip, rendered_clip
from training.evaluate.subjects import Subject, System
from training.evaluate.table import Row, Table, write_tables
from training.experiments.chain_videos import READ, SHARD, TRUTH, Videos, make_corpora
from training.probe import load_probe
from training.probe_stage import ProbeStageConfig, train_probe
from training.synthetic.clips import make_clip

logger = logging.getLogger(__name__)

STEPS = ("videos", "motion", "judge", "report")


@dataclass(frozen=True)
class ChainConfig:
    """``videos`` training clips of ``shortest`` to ``longest`` seconds, rendered at ``size`` pixels; ``people`` unseen
    speakers of the report. ``steps1``, ``steps2``: of the motion stages. The judge is that of `evaluate`: ``judges``
    sessions of people nobody else meets, ``probe_steps`` and ``close_steps``, and ``fitted`` clips, rendered truth, for
    the names of emotions. ``step``: one of videos, motion, judge, report, or all.
    """

    out: str = "runs/chain"
    step: str = "all"
    seed: int = 4
    face: str = ""
    videos: int = 360
    shortest: float = 3.0
    longest: float = 4.0
    size: int = 256
    speech: str = "espeak"
    workers: int = 2
    steps1: int = 5000
    steps2: int = 1500
    judges: int = 800
    probe_steps: int = 3000
    close_steps: int = 2000
    fitted: int = 400
    people: int = 6


#: What `experiment --help` lists.
CONFIG = ChainConfig


def main(argv: Sequence[str]) -> None:
    """Run the steps asked for. Raises UserError for an unknown step or a count that cannot be meant."""
    config = parse(ChainConfig, argv, __doc__ or "")
    if config.step not in (*STEPS, "all"):
        raise UserError(f"--step is {config.step!r}, expected one of {', '.join((*STEPS, 'all'))}.")
    for name in ("videos", "workers", "people"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name} is {getattr(config, name)}, expected at least 1.")
    wanted = STEPS if config.step == "all" else (config.step,)
    for name in wanted:
        logger.info("chain: %s", name)
        {"videos": videos, "motion": motion, "judge": train_judge, "report": report}[name](config)


def videos(config: ChainConfig) -> None:
    """Render and read; both corpora."""
    face = config.face or str(bundled("face.safetensors"))
    every = [
        Videos(
            seed=config.seed,
            first=first,
            count=min(SHARD, config.videos - first),
            seconds=(config.shortest, config.longest),
            size=config.size,
            speech=config.speech,
            face=face,
        )
        for first in range(0, config.videos, SHARD)
    ]
    make_corpora(Path(config.out), every, config.workers)


def motion(config: ChainConfig) -> None:
    """Both stages on both corpora, alike but for the motion."""
    out = Path(config.out)
    for kind in (READ, TRUTH):
        base = out / f"{kind}1" / "motion.safetensors"
        alike = ["--corpus", str(out / kind), "--seed", str(config.seed)]
        stage1.main([*alike, "--out", str(base.parent), "--steps", str(config.steps1)])
        stage2.main([*alike, "--out", str(out / f"{kind}2"), "--base", str(base), "--steps", str(config.steps2)])


def train_judge(config: ChainConfig) -> tuple[CloseProbe, Sessions]:
    """The probe that reads pictures, trained on people that no other network meets; and these people's sessions."""
    out = Path(config.out)
    corpus = CorpusConfig(
        out=str(out / "judges"), clips=0, sessions=0, judges=config.judges, seed=9, workers=config.workers
    )
    make_corpus(corpus)
    first = ProbeStageConfig(corpus=corpus.out, split="judge", steps=config.probe_steps, batch=24, softened=0.5)
    coarse = load_probe(train_probe(first, out / "probe"))
    second = CloseStageConfig(corpus=corpus.out, steps=config.close_steps)
    probe = load_close_probe(train_close(second, coarse, out / "close"), coarse)
    return probe, Sessions(Path(corpus.out), "judge")


def report(config: ChainConfig) -> None:
    """Let both systems speak for unseen people, read the pictures, print and store the table."""
    out = Path(config.out)
    probe, _ = train_judge(config)
    face = weights.load_face(config.face or bundled("face.safetensors"))
    named = emotions_judge(config, probe)
    cast = unseen(config)
    rows: list[Row] = list(named.rows())
    hashes = {}
    for kind, name in ((READ, "motion read by M"), (TRUTH, "true motion")):
        denoiser = weights.load_motion(out / f"{kind}1" / "motion.safetensors")
        controller = weights.load_emotion(out / f"{kind}2" / "emotion.safetensors", denoiser)
        system = System(denoiser, controller, SamplingOptions())
        hashes[kind] = weights.tensor_hash(denoiser)[:12]
        found = [*judge.lip_rows(system, face, probe, cast), *judge.emotion_rows(system, face, named, cast)]
        rows += [_control(row, name) if kind == TRUTH else replace(row, name=f"{row.name}, {name}") for row in found]
    how = (
        f"{config.videos} videos of {config.shortest:g} to {config.longest:g} s rendered at {config.size} px; "
        f"{config.steps1} and {config.steps2} steps; {len(cast)} unseen people with neutral voices; the probe: "
        f"{config.judges} sessions, {config.probe_steps} and {config.close_steps} steps."
    )
    table = Table("Motion read from pixels, from the first video to the last picture", how, tuple(rows))
    write_tables([table], out, hashes)
    sys.stdout.write(table.markdown())


def _control(row: Row, name: str) -> Row:
    """The control's row: nothing is asked of it."""
    return replace(row, name=f"{row.name}, control: {name}", asked="", met=None)


def unseen(config: ChainConfig) -> list[RenderedClip]:
    """Speaking test clips with neutral voices, one for each person, in their scenes."""
    listener = make_encoder("logmel")
    cast: dict[int, RenderedClip] = {}
    index = 0
    while len(cast) < config.people:
        clip = make_clip(config.seed * 1_000_003 + index, "test", (4.0, 5.0), config.speech)
        index += 1
        if clip.text and clip.prosody == "neutral" and clip.identity_seed not in cast:
            cast[clip.identity_seed] = rendered_clip(Subject(clip, listener.listen(clip.waveform, 16000)), config.seed)
        if index > 100 * config.people:
            raise UserError(f"--people is {config.people}, expected no more than the test split has; give fewer.")
    return list(cast.values())


def emotions_judge(config: ChainConfig, probe: CloseProbe) -> PixelJudge:
    """Fitted on rendered truth of training people, marked on people it has not met."""
    count, marked = config.fitted, max(16, config.fitted // 4)
    seeds = config.seed * 1_000_003 + 500_000
    train = [make_clip(seeds + k, "train", (3.0, 3.5), config.speech) for k in range(count)]
    held = [make_clip(seeds + k, "val", (3.0, 3.5), config.speech) for k in range(marked)]
    return fit_pixel_judge(probe, config.seed, train, held, judge.disturbed)
