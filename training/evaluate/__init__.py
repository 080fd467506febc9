"""``python -m training evaluate``: every figure the system must show, from held-out people, voices and sentences.

With ``--videos GENERATED --truth REAL`` instead, any videos are judged by the paper's metrics; see its own ``--help``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from playmate_core.diffusion.options import SamplingOptions
from playmate_core.errors import UserError
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training.close_probe import load_close_probe
from training.close_stage import CloseStageConfig, train_close
from training.config import parse
from training.data import Sessions, corpus_config, corpus_hash, load_synthetic_clips
from training.evaluate import (
    ablations,
    carried_noise,
    judge,
    leakage,
    level1,
    level2,
    liveliness,
    pictures,
    samplers,
    videos,
)
from training.evaluate.emotion_judge import fit_judge
from training.evaluate.emotion_layer import emotion_layer_table
from training.evaluate.locked_pose import lock_rows
from training.evaluate.pixel_emotion import fit_pixel_judge
from training.evaluate.placing import chosen_device, device_of, reader_on
from training.evaluate.rendered_clips import rendered_clip
from training.evaluate.subjects import System, load_subjects, with_neutral_voice
from training.evaluate.table import Table, write_tables
from training.evaluate.videos import VideosConfig
from training.probe import load_probe
from training.probe_stage import ProbeStageConfig, train_probe

logger = logging.getLogger(__name__)

LEVELS = ("1", "long", "2", "layer", "all")


@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate on what. Empty model paths mean the bundled weights; an empty ablation path leaves its row out.

    ``judges``: a corpus of other identities, on which the probe of level 2 is trained (kept in ``out``).
    """

    corpus: str = "data/corpus"
    judges: str = "data/judge"
    out: str = "runs/evaluation"
    face: str = ""
    motion: str = ""
    emotion: str = ""
    alike_motion: str = ""  # stage 1 trained as long as the two ablations below, and otherwise as shipped
    global_motion: str = ""  # stage 1 trained with --model-pose-normalisation global
    quiet_motion: str = ""  # stage 1 trained with --prev-noise-max 0
    face_without_transfer: str = ""  # face networks trained with --transfer 0, for the leakage of Eq. 4
    clips: int = 40
    few: int = 8  # clips of the slow figures
    emotion_clips: int = 24  # clips with neutral voices, on which every emotion is shown at three intensities
    pairs: int = 4  # a session, of level 2
    probe_steps: int = 3000
    close_steps: int = 2000
    oracle_steps: int = 1000  # of DDPM, against which the default sampler is measured
    rollout: float = 60.0  # seconds of the long run
    rollouts: int = 6  # long runs of the rows on liveliness: 60 s have 32 joints
    workers: int = 0  # processes that draw batches for the probes
    device: str = "auto"  # where the networks compute: a GPU where there is one, or cpu, cuda
    level: str = "all"  # or "1" (motion), "long" (long runs, sampler, ablations), "2" (pixels), "layer" (emotion layer)


#: What the help adds, since the flags of videos have a parser of their own.
OF_VIDEOS = (
    "Videos of any maker are judged with " + ", ".join(f"--{field.name}" for field in fields(VideosConfig)) + "."
)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, store them with the pictures a person would look at."""
    words = list(sys.argv[1:] if argv is None else argv)
    if any(word.split("=")[0] in ("--videos", "--truth") for word in words):
        videos.main(words)
        return
    config = parse(EvaluateConfig, words, f"{__doc__ or ''} {OF_VIDEOS}")
    if config.level not in LEVELS:
        raise UserError(f"--level is {config.level!r}, expected one of {', '.join(LEVELS)}.")
    out = Path(config.out)
    device = chosen_device(config.device)
    denoiser = weights.load_motion(config.motion or bundled("motion.safetensors"))
    controller = weights.load_emotion(config.emotion or bundled("emotion.safetensors"), denoiser)
    system = System(denoiser.to(device), controller.to(device), SamplingOptions())
    tables: list[Table] = []
    if config.level in ("1", "all"):
        tables += level_one(config, system)
    if config.level in ("long", "all"):
        tables += [liveliness_table(config, system), long_runs(config, system)]
    if config.level in ("2", "all"):
        tables.append(level_two(config, system))
    if config.level in ("layer", "all"):
        tables.append(layer_level(config, system))
    facts = {
        "corpus": corpus_hash(Path(config.corpus)),
        "motion": weights.tensor_hash(denoiser)[:12],
        "emotion": weights.tensor_hash(controller)[:12],
        "device": str(device),
        "sampling": repr(system.options),
    }
    write_tables(tables, out, facts)
    sys.stdout.write("\n".join(table.markdown() for table in tables))


def level_one(config: EvaluateConfig, system: System) -> list[Table]:
    """Motion against true motion."""
    corpus, encoder = Path(config.corpus), system.denoiser.config.audio_encoder
    every = load_subjects(corpus, encoder, 1_000_000)
    subjects, few = every[: config.clips], every[: config.few]
    logger.info("Level 1 on %d clips.", len(subjects))
    speech, made = level1.speech_table(system, subjects)
    named = fit_judge(
        load_synthetic_clips(corpus, "train"),
        load_synthetic_clips(corpus, "val") + load_synthetic_clips(corpus, "test"),
    )
    neutral = with_neutral_voice(every, config.emotion_clips)
    emotion = level1.emotion_table(system, neutral, named, made)
    conflict = ablations.conflict_row(system, subjects, named)
    emotion = replace(emotion, rows=(*emotion.rows, conflict))
    pictures.motion_curves(few[:4], made, Path(config.out))
    return [speech, emotion, ablations.guidance_table(system, few, named)]


def long_runs(config: EvaluateConfig, system: System) -> Table:
    """A minute without a break, the sampler's short cut, and what each part is worth."""
    corpus, encoder = Path(config.corpus), system.denoiser.config.audio_encoder
    logger.info("Rollout, sampler, ablations.")
    few = load_subjects(corpus, encoder, config.few)
    speech_backend = str(corpus_config(corpus)["speech"])
    rows = ablations.rollout_rows(system, ablations.rollout_subject(encoder, config.rollout, speech_backend))
    held_out = load_synthetic_clips(corpus, "val") + load_synthetic_clips(corpus, "test")
    rows += samplers.sampler_rows(system.denoiser, held_out, system.options, config.oracle_steps)
    variants = {"as shipped": system}
    for name, path in (
        ("as shipped, trained as long as the next two", config.alike_motion),
        ("adaptive normalisation off", config.global_motion),
        ("noise augmentation off", config.quiet_motion),
    ):
        if path:
            other = weights.load_motion(path).to(device_of(system.denoiser))
            variants[name] = replace(system, denoiser=other, controller=None)
    for name, variant in variants.items():
        rows += [ablations.jerk_row(name, variant, few), *ablations.fault_rows(name, variant, few)]
        long = ablations.rollout_subjects(encoder, 20.0, speech_backend, 2)
        rows += carried_noise.carried_rows(name, variant, long, ablations.SEEDS)
    return Table("Level 1: long runs, sampler, ablations", f"{len(few)} clips, seeds {ablations.SEEDS}.", tuple(rows))


def liveliness_table(config: EvaluateConfig, system: System) -> Table:
    """Whether long motion looks alive, on rollouts of several people with the default sampler."""
    encoder, backend = system.denoiser.config.audio_encoder, str(corpus_config(Path(config.corpus))["speech"])
    subjects = ablations.rollout_subjects(encoder, config.rollout, backend, config.rollouts)
    logger.info("Liveliness on %d rollouts.", len(subjects))
    how = f"{len(subjects)} rollouts of about {config.rollout:g} s, default sampler, emotion off, a seed each."
    made, faded = (liveliness.rollouts(system, subjects, joint) for joint in ("hold", "fade"))
    rows = liveliness.liveliness_rows(system, made, faded)
    rows += lock_rows(system, subjects, made.motions)
    return Table("Level 1: joints and liveliness", how, tuple(rows))


def layer_level(config: EvaluateConfig, system: System) -> Table:
    """The emotion layer beside the model's own emotion."""
    corpus = Path(config.corpus)
    subjects = load_subjects(corpus, system.denoiser.config.audio_encoder, config.clips)
    held_out = load_synthetic_clips(corpus, "val") + load_synthetic_clips(corpus, "test")
    judge = fit_judge(load_synthetic_clips(corpus, "train"), held_out)
    return emotion_layer_table(system, with_neutral_voice(subjects, config.few), judge)


def level_two(config: EvaluateConfig, system: System) -> Table:
    """Pictures in, pictures out."""
    device = device_of(system.denoiser)
    face = weights.load_face(config.face or bundled("face.safetensors")).to(device)
    corpus, out = Path(config.corpus), Path(config.out)
    probe_config = ProbeStageConfig(
        corpus=config.judges,
        split="judge",
        steps=config.probe_steps,
        batch=24,
        softened=0.5,
        workers=config.workers,
    )
    coarse = load_probe(train_probe(probe_config, out / "probe"))
    close_config = CloseStageConfig(corpus=config.judges, steps=config.close_steps, workers=config.workers)
    probe = reader_on(load_close_probe(train_close(close_config, coarse, out / "close"), coarse), device)
    sessions = Sessions(corpus, "test")
    seed = int(corpus_config(corpus)["seed"])
    logger.info("Level 2 on %d people.", len(sessions))
    own = list(level2.self_reenactments(face, sessions, config.pairs))
    cross = list(level2.cross_reenactments(face, sessions, seed, config.pairs))
    subjects = load_subjects(corpus, system.denoiser.config.audio_encoder, config.clips)
    neutral = with_neutral_voice(subjects, config.few)
    cast = [rendered_clip(subject, seed) for subject in neutral]
    held_out = load_synthetic_clips(corpus, "val") + load_synthetic_clips(corpus, "test")
    named = fit_pixel_judge(probe, seed, load_synthetic_clips(corpus, "train"), held_out, judge.disturbed)
    rows = [
        *judge.probe_rows(probe, sessions),
        *named.rows(),
        *level2.fidelity_rows("self-reenactment", own, (26.0, 0.88, 4.0)),
        *level2.fidelity_rows("cross-identity", cross, (22.0, None, 3.0)),
        *judge.pose_rows(system, face, probe, sessions, cast),
        *judge.lip_rows(system, face, probe, cast),
        *judge.emotion_rows(system, face, named, cast),
        *judge.identity_rows(system, face, probe, cast),
        *level2.reading_rows(face, sessions),
        *leakage.leakage_rows(face, probe, sessions),
    ]
    if config.face_without_transfer:
        other = weights.load_face(config.face_without_transfer).to(device)
        rows += leakage.leakage_rows(other, probe, sessions, "without Eq. 4")
    pictures.contact_sheet(own, out / "self_reenactment.png")
    pictures.contact_sheet(cross, out / "cross_identity.png")
    how = f"{len(own)} pairs of {len(sessions)} unseen people; {len(cast)} speaking clips; probe trained on others."
    return Table("Level 2: pixels", how, tuple(rows))
