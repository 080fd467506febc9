"""`evaluate` from end to end on a miniature corpus with random weights: every row is there, and bad calls are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser
from playmate_core.diffusion.emotion import EmotionConfig, EmotionController
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel, FaceReading
from playmate_core.values import EMOTIONS
from playmate_core.weights import files as weights
from training import evaluate
from training.corpus import CorpusConfig, make_corpus
from training.data import Sessions, load_synthetic_clips, shards, write_clips, write_manifest
from training.evaluate import ablations, carried_noise, judge, leakage, level1, level2, pixel_emotion, samplers
from training.evaluate.leakage import leakage_rows
from training.evaluate.subjects import System, Take, load_subjects, with_neutral_voice
from training.evaluate.table import Table
from training.probe import Probe, ProbeConfig, ProbeReading
from training.synthetic.clips import make_clip
from training.synthetic.identity import make_identity
from training.synthetic.rig import RIG, expression_from_rig
from training.synthetic.sessions import session_scene

FACTS = {"license": "Apache-2.0", "data": "none: random numbers", "training": {"step": 0}}
SIZES = replace(MotionConfig.tiny(), width=16, layers=1, heads=2, kernel=3, window=20, previous=4, audio_blocks=1)
FAST = SamplingOptions(steps=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions as made; clips of one second, one of each emotion in training, all of them clear."""
    root = tmp_path_factory.mktemp("corpus")
    sizes = CorpusConfig(out=str(root), clips=0, sessions=4, judges=3, frames_per_session=4, size=64, workers=1)
    make_corpus(replace(sizes, speech="formant"))
    for split, count in (("train", 16), ("val", 3), ("test", 8)):
        clips = [make_clip(seed, split, (1.0, 1.2), "formant") for seed in range(count)]
        write_clips(root / f"{split}-clips-00000.safetensors", [replace(clip, intensity=1.0) for clip in clips])
    write_manifest(root)
    return root


def shaken(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return module


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Random weights on disk: face, motion and emotion."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("models")
    base = MotionDenoiser(replace(SIZES, target="x0"))
    base.statistics.expression_std.fill_(0.02)
    shaken(base)
    weights.save(base, root / "motion.safetensors", audio="logmel", **FACTS)
    loaded = weights.load_motion(root / "motion.safetensors")
    controller = shaken(EmotionController(EmotionConfig(width=16, heads=2)))
    weights.save(controller, root / "emotion.safetensors", base=loaded, **FACTS)
    weights.save(FaceModel(FaceConfig.tiny()), root / "face.safetensors", **FACTS)
    return {name: str(root / f"{name}.safetensors") for name in ("face", "motion", "emotion")}


@pytest.fixture(scope="module")
def system(models: dict[str, str]) -> System:
    base = weights.load_motion(models["motion"])
    return System(base, weights.load_emotion(models["emotion"], base), FAST)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest counts of everything that is looped over."""
    monkeypatch.setattr(ablations, "SEEDS", (0,))
    monkeypatch.setattr(leakage, "SEEDS", (0, 1))
    monkeypatch.setattr(ablations, "AUDIO_SCALES", (1.5,))
    monkeypatch.setattr(ablations, "EMOTION_SCALES", (2.0,))
    monkeypatch.setattr(carried_noise, "SIGMAS", (0.3,))
    monkeypatch.setattr(judge, "FRAMES", 6)
    monkeypatch.setattr(evaluate, "SamplingOptions", lambda: FAST)
    monkeypatch.setattr(pixel_emotion, "LOOKS", 2)
    monkeypatch.setattr(samplers, "WINDOWS", 2)
    short = evaluate.ProbeStageConfig
    monkeypatch.setattr(evaluate, "ProbeStageConfig", lambda **given: short(**{**given, "batch": 2}))
    close = evaluate.CloseStageConfig
    monkeypatch.setattr(evaluate, "CloseStageConfig", lambda **given: close(**{**given, "batch": 2, "split": "judge"}))


def settings(corpus: Path, models: dict[str, str], out: Path) -> list[str]:
    given = {"corpus": corpus, "judges": corpus, "out": out, **models, "quiet-motion": models["motion"]}
    given |= {"face-without-transfer": models["face"], "clips": 4, "few": 2, "emotion-clips": 2, "pairs": 1}
    given |= {"probe-steps": 1, "close-steps": 1, "oracle-steps": 3, "rollout": 11, "rollouts": 1}
    return [word for name, value in given.items() for word in (f"--{name}", str(value))]


def rows_of(out: Path) -> dict[str, dict[str, object]]:
    tables = json.loads((out / "evaluation.json").read_text())["tables"]
    return {row["name"]: row for table in tables for row in table["rows"]}


@pytest.mark.usefixtures("brief")
def test_one_command_writes_every_row_and_the_pictures(
    corpus: Path, models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate.main(settings(corpus, models, tmp_path))
    printed = capsys.readouterr().out
    assert printed in (tmp_path / "evaluation.md").read_text()
    rows = rows_of(tmp_path)
    lips = rows["lip-aperture correlation"]
    assert lips["truth"] == "1.000" and lips["still"] == "0.000" and lips["shuffled"] != ""
    assert rows["clips with lag within one frame"]["truth"] == "1.000"
    assert rows["pose jerk over truth"]["truth"] == "1.000" and rows["pose jerk over truth"]["still"] == "0.000"
    for name in (
        "floor: emotion accuracy from an emotional voice alone, emotion off",
        "default sampler over DDPM-3: lip amplitude",
        "noise augmentation off: share of an injected fault left after 70 frames",
        "w_a = 1.5, w_e = 2: emotion accuracy",
        "loss of lip correlation by lock_pose",
        "self-reenactment: PSNR, dB",
        "cross-identity: gain over copying the source, dB",
        "pose override, mean error in degrees",
        "lip-aperture correlation read from pixels",
        "emotion accuracy read from pixels",
        "probe on blurred truth: pose error, degrees",
        "both: displacement of brows, lids and lip corners",
    ):
        assert name in rows
    # the same file stands for both models, so nothing may tell them apart
    for way in ("pose to expression", "expression to pose"):
        assert rows[f"leakage {way}, with Eq. 4"]["value"] == rows[f"leakage {way}, without Eq. 4"]["value"]
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {"curves.png", "self_reenactment.png", "cross_identity.png"}


@pytest.mark.usefixtures("brief")
def test_the_layer_shows_an_emotion_without_moving_the_lips(
    corpus: Path, models: dict[str, str], tmp_path: Path
) -> None:
    evaluate.main([*settings(corpus, models, tmp_path), "--level", "layer"])
    rows = rows_of(tmp_path)
    assert abs(float(str(rows["layer: loss of lip correlation"]["value"]))) <= 0.001
    assert float(str(rows["layer: displacement of brows, lids and lip corners"]["value"])) > 0.04


@pytest.mark.usefixtures("brief")
def test_a_level_is_chosen_by_name(corpus: Path, models: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--level is '3', expected one of 1, long, 2, layer, all"):
        evaluate.main([*settings(corpus, models, tmp_path), "--level", "3"])
    assert not list(tmp_path.iterdir())


def test_truth_and_stillness_are_the_ends_of_every_scale(corpus: Path) -> None:
    subjects = load_subjects(corpus, "logmel", 4)
    truth, still = level1.truth_of(subjects), level1.still_of(subjects)
    assert truth.mean(level1.lip_correlation) == pytest.approx(1.0, abs=1e-4)
    assert still.mean(level1.lip_correlation) == 0.0 and level1.jerk_ratio(still) == 0.0
    assert level1.closure_ratio(truth) == pytest.approx(1.0)
    assert torch.allclose(level1.pose_range(truth), torch.ones(6)) and not level1.pose_range(still).any()


def test_takes_performed_together_are_as_each_alone_whatever_their_length(corpus: Path, system: System) -> None:
    subjects = load_subjects(corpus, "logmel", 4)
    takes = [Take(subject, emotion, 0.5, seed) for seed, subject in enumerate(subjects) for emotion in (None, "sad")]
    takes.append(Take(subjects[0], audio=subjects[1].audio))
    together = system.perform(takes, overlap=4)
    assert [len(motion) for motion in together] == [len(take.voice) for take in takes]
    for take, motion in zip(takes, together, strict=True):
        (alone,) = system.perform([take], overlap=4)
        assert torch.allclose(motion.expression, alone.expression, atol=1e-4)
        assert torch.allclose(motion.pose.rotation, alone.pose.rotation, atol=1e-3)
    assert not torch.equal(together[0].expression, together[-1].expression)
    assert system.perform([]) == []


@pytest.mark.usefixtures("brief")
def test_a_device_that_is_not_there_is_told_before_the_slow_part(
    corpus: Path, models: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="The device 'nowhere' cannot be used here"):
        evaluate.main([*settings(corpus, models, tmp_path), "--device", "nowhere"])
    assert not list(tmp_path.iterdir())


def test_a_clips_expression_decodes_to_its_rig(corpus: Path) -> None:
    subject = load_subjects(corpus, "logmel", 1)[0]
    rig = level1.rig_of(subject, subject.clip.motion)
    assert float((rig - subject.clip.rig).abs().mean()) < 0.1  # the corpus adds a little noise to what M would see


def test_a_fault_is_forgotten_by_a_denoiser_that_looks_at_no_previous_frames(system: System, corpus: Path) -> None:
    subject = load_subjects(corpus, "logmel", 1)[0]
    forgetful = unshared(system)
    with torch.no_grad():
        for parameter in forgetful.denoiser.parameters():
            parameter.zero_()
    assert ablations.fault_left(forgetful, subject, 0, (0, FAST.overlap)) == [0.0, 0.0]
    assert ablations.fault_left(unshared(system), subject, 0, (0,)) != [0.0]


def unshared(system: System) -> System:
    denoiser = MotionDenoiser(system.denoiser.config)
    denoiser.load_state_dict(system.denoiser.state_dict())
    return replace(system, denoiser=denoiser.eval(), controller=None)


def test_a_corpus_without_what_is_needed_is_told(corpus: Path, tmp_path: Path) -> None:
    subjects = load_subjects(corpus, "logmel", 8)
    loud = [replace(one, clip=replace(one.clip, prosody="emotional")) for one in subjects]
    with pytest.raises(UserError, match="has a neutral voice"):
        with_neutral_voice(loud, 2)
    mute = [replace(clip, phones=()) for clip in load_synthetic_clips(corpus, "test")[:2]]
    write_clips(tmp_path / "test-clips-00000.safetensors", mute)
    with pytest.raises(UserError, match="has speech"):
        load_subjects(tmp_path, "logmel", 2)
    assert len(shards(corpus, "test", "clips")) == 1


class Thermometer(Probe):
    """Reads the angle from the mean of the left half and the rig from that of the right."""

    def forward(self, image: Tensor) -> ProbeReading:
        half = image.shape[-1] // 2
        left, right = image[..., :half].mean((1, 2, 3)), image[..., half:].mean((1, 2, 3))
        return ProbeReading(
            left[:, None].expand(-1, 3), right[:, None].expand(-1, 16), torch.zeros(len(image), len(EMOTIONS)), image
        )


@pytest.mark.parametrize(("leak", "expected"), [(0.0, 0.0), (0.5, 0.5)])
def test_leakage_is_the_share_that_goes_the_wrong_way(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, leak: float, expected: float
) -> None:
    """Pose moves the left half by a step and expression the right, and each the other's by ``leak`` of a step."""

    def drawn(face: object, image: Tensor, seen: object, motion: object) -> Tensor:
        pose = float(motion.rotation is not seen.rotation)  # type: ignore[attr-defined]
        acted = float(motion.expression is not seen.expression)  # type: ignore[attr-defined]
        picture = torch.zeros(1, 3, 8, 8)
        picture[..., :4] = pose + leak * acted
        picture[..., 4:] = acted + leak * pose
        return picture

    monkeypatch.setattr(leakage, "redraw", drawn)
    face, probe = FaceModel(FaceConfig.tiny()).eval(), Thermometer(ProbeConfig(size=8, widths=(4,)))
    found = leakage.leakage(face, probe, Sessions(corpus, "test"), 0)
    assert found.to_expression == pytest.approx(expected, abs=1e-5)
    assert found.to_pose == pytest.approx(expected, abs=1e-5)
    rows = leakage_rows(face, probe, Sessions(corpus, "test"), "without Eq. 4")
    assert rows[0].value.startswith(f"{expected:.3f} +- 0.000") and rows[0].asked == ""


def test_a_reader_is_marked_by_pose_and_by_what_of_the_face_it_reads(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = Sessions(corpus, "test")

    def seen(face: object, image: Tensor) -> FaceReading:
        """The truth, three degrees off in yaw and with the brows the wrong way."""
        session = next(s for s in sessions if torch.equal(level2.images([(s, 0)])[0], image[0]))
        rig = session.rig.numpy().copy()
        rig[:, [RIG.index(name) for name in level2.MARKED["brows"]]] *= -1.0
        expression = torch.from_numpy(expression_from_rig(make_identity(session.identity_seed), rig))
        off = torch.tensor([0.0, 3.0, 0.0])
        return FaceReading(
            session.keypoints.expand(len(image), -1, -1),
            session.rotation + off,
            session.translation,
            session.scale,
            expression,
            torch.zeros(len(image), 3, 66),
        )

    monkeypatch.setattr(level2, "read", seen)
    pose, face = level2.reading_rows(FaceModel(FaceConfig.tiny()), sessions)
    assert pose.value == "1.00" and face.value == "1.00 / 1.00 / -1.00 / 1.00 / 1.00 / 1.00"


def test_the_exact_answer_to_a_persons_own_frame_is_that_frame(corpus: Path) -> None:
    sessions = Sessions(corpus, "test")
    answer = level2.rendered_answer(sessions[0], session_scene(1, sessions[0].identity_seed), sessions[0], 1, 64)
    frame = torch.from_numpy(sessions[0].frames[1].copy()).permute(2, 0, 1) / 255.0
    assert level2.psnr(answer, frame) > 35.0


def test_tables_are_what_the_levels_return(system: System, corpus: Path) -> None:
    table, made = level1.speech_table(system, load_subjects(corpus, "logmel", 2))
    assert isinstance(table, Table) and len(made.motions) == 2
    assert all(len(motion) == len(subject.audio) for subject, motion in made.each())
