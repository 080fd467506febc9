"""The experiments in miniature: what they measure on inputs whose answer is known, and that each runs to its table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training.__main__ import main
from training.data import load_clips
from training.evaluate.motion_metrics import correlation
from training.experiments import chain, entangled_pictures, entanglement
from training.experiments.chain_videos import READ, TRUTH, Videos, make_corpora
from training.experiments.entangled import (
    EntangledMotion,
    FittedWarping,
    Grid,
    Measured,
    SessionPairs,
    Shown,
    course,
    measure,
)
from training.experiments.entangled_pictures import Pictures
from training.experiments.entanglement import WITH, WITHOUT, EntanglementConfig, last_step, report, run_folder
from training.face_pairs.stage import PairsStage
from training.prepared import PreparedClip
from training.run_state import VALIDATION, append_line
from training.synthetic.rig import lip_aperture
from training.synthetic.sessions import make_session


class PoseAlone(torch.nn.Module):
    """An M that reads pose from a picture's red and expression from its green, and ``leak`` of one in the other."""

    def __init__(self, leak: float) -> None:
        super().__init__()
        self.leak = leak

    def forward(self, image: torch.Tensor) -> Any:
        from playmate_core.face import FaceReading

        pose, face = image[:, 0].mean((1, 2)), image[:, 1].mean((1, 2))
        count = len(image)
        expression = (0.01 * (face + self.leak * pose))[:, None, None].expand(-1, 21, 3)
        turn, flat = torch.zeros(count, 3), torch.zeros(count, 3)
        return FaceReading(torch.rand(count, 21, 3), turn, flat, torch.ones(count, 1), expression, turn[:, :, None])


def pictures() -> Grid:
    """Two people, three faces (green), three poses (red)."""
    table = torch.zeros(2, 3, 3, 3, 32, 32)
    table[:, :, :, 0] = torch.tensor([0.0, 0.5, 1.0])[None, None, :, None, None]
    table[:, :, :, 1] = torch.tensor([0.0, 0.5, 1.0])[None, :, None, None, None]
    return Grid(table)


@pytest.mark.parametrize("leak", [0.0, 0.5, 2.0])
def test_leakage_is_the_share_of_the_pose_in_the_expression(leak: float) -> None:
    model = FaceModel(replace(FaceConfig.tiny(), spectral_norm=False))
    model.motion = PoseAlone(leak)  # type: ignore[assignment]
    found = measure(model, pictures(), torch.full((21, 3), 0.01), 0)
    assert found.leakage == pytest.approx(leak, abs=1e-5)
    assert found.spread == pytest.approx(float(torch.tensor([0.0, 0.5, 1.0]).std(correction=0)), rel=1e-4)


def test_the_entanglement_is_the_pose_times_a_and_learns() -> None:
    torch.manual_seed(0)
    given = FaceModel(FaceConfig.tiny()).motion
    image = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        given.detector.fc_yaw.weight.add_(torch.randn_like(given.detector.fc_yaw.weight))
    made = EntangledMotion(given, 0.5, 1)
    clean, tangled = given(image), made(image)
    wanted = (clean.rotation / 10.0) @ made.matrix().T
    assert float(wanted.detach().abs().max()) > 1e-4
    assert torch.allclose((tangled.expression - clean.expression).flatten(1), wanted, atol=1e-6)
    tangled.expression.sum().backward()
    assert made.leak.grad is not None and bool(made.leak.grad.any())
    none = EntangledMotion(given, 0.0, 1)
    assert torch.equal(none(image).expression, clean.expression)


def test_a_fitted_warping_takes_back_what_shows_in_the_keypoints() -> None:
    g = torch.Generator().manual_seed(0)
    pose, face = torch.randn(64, 3, generator=g), 0.01 * torch.randn(64, 63, generator=g)
    clean = pose @ torch.randn(3, 63, generator=g) + face
    tangled = clean + 0.3 * pose @ torch.randn(3, 63, generator=g)
    fitted = FittedWarping(torch.nn.Identity(), tangled.unflatten(1, (21, 3)), clean.unflatten(1, (21, 3)))
    left = fitted.taken_back(tangled.unflatten(1, (21, 3))).flatten(1) - clean
    assert float(left.std()) < 0.05 * float((tangled - clean).std())
    assert fitted.weight.requires_grad and fitted.bias.requires_grad


def test_the_table_says_what_was_met() -> None:
    before, control = [Measured(0.7, 1.0, 25.0)] * 3, [Measured(0.6, 1.0, 25.2)] * 3
    good = {"given": before, "entangled": before, WITHOUT: control, WITH: [Measured(0.3, 0.9, 25.0)] * 3}
    met = {row.name: row.met for row in report(EntanglementConfig(), good).rows}
    assert [value for value in met.values() if value is not None] == [True, True, True]
    for worse in (Measured(0.5, 0.9, 25.0), Measured(0.3, 0.7, 25.0), Measured(0.3, 0.9, 24.8)):
        met = {row.name: row.met for row in report(EntanglementConfig(), {**good, WITH: [worse] * 3}).rows}
        assert [value for value in met.values() if value is not None].count(False) == 1, worse


def test_pairs_of_sessions_are_pictures_alone() -> None:
    session = make_session(1, 0, "train", 4, 64)
    pairs = SessionPairs([session]).draw(2, 1.0, torch.Generator().manual_seed(0))
    assert pairs.source.shape == (2, 3, 64, 64) and float(pairs.gap.min()) > 1.0
    assert set(vars(pairs)) == {"source", "driving", "gap"}


def test_an_unknown_experiment_or_step_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "twins"]) == 2
    assert "entanglement: add a known" in capsys.readouterr().err
    assert main(["experiment", "chain", "--step", "films"]) == 2
    assert "expected one of videos, motion, judge, report, all" in capsys.readouterr().err
    for words, said in (
        ("--repeats 0", "--repeats is 0"),
        ("--arm both", "--arm is 'both', expected one of without, with"),
        ("--repeat 3", "--repeat is 3, expected less than --repeats"),
        ("--measure-every 0", "--measure-every is 0"),
    ):
        with pytest.raises(UserError, match=said):
            entanglement.main(words.split())


def test_the_arms_are_compared_at_the_last_step_that_all_have_reached(tmp_path: Path) -> None:
    config = EntanglementConfig(out=str(tmp_path), repeats=2)
    assert last_step(config) == 0
    for repeat in range(2):
        for arm, last in (("with", 60), ("without", 40 + 10 * repeat)):
            run = run_folder(config, repeat, arm)
            run.mkdir(parents=True)
            for step in range(10, last + 1, 10):
                append_line(run / VALIDATION, {"step": step, "leakage": 1.0 / step, "spread": 1.0, "psnr": 25.0})
    assert last_step(config) == 40
    assert course(run_folder(config, 1, "with"))[40] == Measured(1.0 / 40, 1.0, 25.0)


def test_pictures_are_rendered_once_and_a_file_of_too_few_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = torch.rand(2, 1, 2, 3, 8, 8).mul(255.0).round() / 255.0
    shown = [Shown(np.full((3, 8, 8, 3), k, np.uint8), torch.full((3, 3), float(k))) for k in range(2)]
    made: list[int] = []

    def render(*asked: int) -> Pictures:
        made.extend(asked)
        return Pictures(tuple(shown), Grid(table))

    monkeypatch.setattr(entangled_pictures, "render_pictures", render)
    path = tmp_path / "kept" / "pictures.safetensors"
    for _ in range(2):
        got = entangled_pictures.pictures(path, 2, 3, 2)
        assert torch.equal(got.grid.pictures, table)
        assert all(np.array_equal(a.frames, b.frames) for a, b in zip(got.sessions, shown, strict=True))
    assert made == [2, 3, 2]
    few = entangled_pictures.pictures(path, 1, 2, 1)
    assert len(few.sessions) == 1 and len(few.sessions[0].frames) == 2 and len(few.grid.pictures) == 1
    with pytest.raises(UserError, match="holds 2 sessions of 3 pictures and 2 people, expected at least 4 of 3 and 2"):
        entangled_pictures.pictures(path, 4, 3, 2)
    path.write_bytes(b"no")
    with pytest.raises(UserError, match="cannot be read"):
        entangled_pictures.pictures(path, 2, 3, 2)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("chain")
    torch.set_num_threads(1)
    make_corpora(out, [Videos(4, 0, 2, (1.2, 1.5), 128, "formant", str(bundled("face.safetensors")))], 1)
    return out


def test_both_corpora_are_the_same_clips_with_read_and_with_true_motion(corpora: Path) -> None:
    read, true = (load_clips(corpora / kind, "train") for kind in (READ, TRUTH))
    assert len(read) == len(true) == 2
    for a, b in zip(read, true, strict=True):
        assert type(a) is type(b) is PreparedClip
        assert (a.id, a.speaker, a.emotion, a.intensity) == (b.id, b.speaker, b.emotion, b.intensity)
        assert torch.equal(a.waveform, b.waveform) and len(a) == len(b)
        assert not torch.equal(a.motion.expression, b.motion.expression)
        if float(lip_aperture(b.motion.expression).std()) > 0.005:  # not the clip in which nobody speaks
            assert correlation(lip_aperture(a.motion.expression), lip_aperture(b.motion.expression)) > 0.9
    assert "motion read by M" in json.loads((corpora / READ / "corpus.json").read_text())["description"]


def test_finished_shards_are_not_made_again(corpora: Path) -> None:
    shard = corpora / READ / "train-00000.tar"
    before = shard.stat().st_mtime_ns, json.loads((corpora / READ / "corpus.json").read_text())
    make_corpora(corpora, [Videos(4, 0, 2, (1.2, 1.5), 128, "formant", "nowhere")], 1)
    assert (shard.stat().st_mtime_ns, json.loads((corpora / READ / "corpus.json").read_text())) == before


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_chain_runs_to_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    few = "--videos 8 --shortest 1.2 --longest 1.5 --size 64 --speech formant --workers 1 --steps1 2 --steps2 2"
    judged = "--judges 4 --probe-steps 2 --close-steps 2 --fitted 48 --people 1"
    assert main(["experiment", "chain", "--out", str(tmp_path), *few.split(), *judged.split()]) == 0
    table = capsys.readouterr().out
    assert "lip-aperture correlation read from pixels, motion read by M" in table
    assert "emotion accuracy read from pixels, control: true motion" in table
    facts = json.loads((tmp_path / "evaluation.json").read_text())["facts"]
    assert facts[READ] != facts[TRUTH]
    told = weights.describe(tmp_path / "read1" / "motion.safetensors").data
    assert told.startswith("motion read by M from rendered videos")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_entanglement_runs_to_its_table_and_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    few = "--sessions 2 --frames 3 --people 1 --adapt 1 --steps 2 --batch 1 --repeats 1".split()
    assert main(["experiment", "entanglement", "--out", str(tmp_path), *few]) == 0
    first = capsys.readouterr().out
    assert "leakage without Eq. 4 over with it" in first
    monkeypatch.setattr(PairsStage, "loss", lambda *_: pytest.fail("it was trained again"))
    assert main(["experiment", "entanglement", "--out", str(tmp_path), *few]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_arms_trained_one_by_one_give_the_table_of_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    few = "--sessions 2 --frames 3 --people 1 --steps 2 --measure-every 1 --batch 1 --repeats 1 --pulls 0".split()
    words = ["experiment", "entanglement", *few, "--pictures", str(tmp_path / "pictures.safetensors"), "--out"]
    assert main([*words, str(tmp_path / "both")]) == 0
    both = capsys.readouterr().out
    for arm in ("with", "without"):
        assert main([*words, str(tmp_path / "each"), "--repeat", "0", "--arm", arm]) == 0
        assert not capsys.readouterr().out
    assert main([*words, str(tmp_path / "each")]) == 0
    assert capsys.readouterr().out == both


def test_the_defaults_ask_for_what_the_issue_asks() -> None:
    assert chain.ChainConfig().videos >= 300 and EntanglementConfig().repeats == 3
    assert (entanglement.LESS, entanglement.DECIBELS, entanglement.RANGE) == (1.3, 0.3, 0.8)
    assert chain.STEPS == ("videos", "motion", "judge", "report")
