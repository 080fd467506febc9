"""Metrics of `evaluate` on motions and pictures whose figures are known, and what the tables look like."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS, Motion, Pose
from training.data import SyntheticClip
from training.evaluate import motion_metrics as metrics
from training.evaluate.emotion_judge import UPPER, fit_judge, track_summary
from training.evaluate.level1 import EmotionFigures, weak_rows
from training.evaluate.level2 import Redrawing, far_pairs, fidelity_rows, psnr, ssim
from training.evaluate.table import Row, Table, number, write_tables
from training.pairs import pose_gap_degrees
from training.synthetic.clips import make_clip
from training.synthetic.sessions import make_session


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def motion(expression: Tensor, rotation: Tensor | None = None) -> Motion:
    """A motion of one moving expression channel (T,)."""
    frames = len(expression)
    moved = torch.zeros(frames, 21, 3)
    moved[:, 6, 1] = expression
    turned = torch.zeros(frames, 3) if rotation is None else rotation
    return Motion(Pose(turned, torch.zeros(frames, 3), torch.ones(frames, 1)), moved)


def test_correlation_is_pearsons_and_nothing_for_what_stands_still() -> None:
    a = torch.randn(40, generator=generator())
    assert metrics.correlation(3 * a + 7, a) == pytest.approx(1.0, abs=1e-5)
    assert metrics.correlation(-a, a[:30]) == pytest.approx(-1.0, abs=1e-5)
    b = torch.randn(40, generator=generator(1))
    assert metrics.correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-5)
    assert metrics.correlation(torch.full((40,), 0.3), a) == 0.0


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_lag_is_positive_when_the_generated_track_is_late(late: int) -> None:
    track = torch.randn(80, generator=generator())
    assert metrics.lag_frames(track.roll(late)[:75], track) == late


def test_closure_is_open_minus_closed() -> None:
    aperture = torch.tensor([0.4, 0.1, 0.4, 0.1, 0.4])
    bilabial = torch.tensor([False, True, False, True, False])
    assert metrics.closure_contrast(aperture, bilabial) == pytest.approx(0.3)
    assert math.isnan(metrics.closure_contrast(aperture, torch.zeros(5, dtype=torch.bool)))


def test_jerk_is_the_second_difference() -> None:
    t = torch.arange(30.0)[:, None].expand(-1, 3)
    assert metrics.jerk(motion(t[:, 0], 2.0 * t)) == 0.0
    assert metrics.jerk(motion(t[:, 0], t * t)) == pytest.approx(2.0)


def test_pose_deviation_is_by_channel() -> None:
    swing = torch.tensor([1.0, -1.0] * 10)
    rotation = torch.stack([swing, 2 * swing, 0 * swing], -1)
    pose = Pose(rotation, torch.stack([0.1 * swing] * 3, -1), swing.exp()[:, None])
    found = metrics.pose_deviation(Motion(pose, torch.zeros(20, 21, 3)))
    assert torch.allclose(found, torch.tensor([1.0, 2.0, 0.0, 0.1, 0.1, 1.0]), atol=1e-5)


def test_a_seam_is_the_step_where_windows_meet() -> None:
    steps = torch.ones(30)
    steps[10] = steps[20] = 3.0  # the step onto frames 10 and 20, where windows of ten begin
    joints, elsewhere = metrics.seam_ratio(motion(steps.cumsum(0)), 10)
    assert joints == pytest.approx(3.0, rel=1e-5) and elsewhere == pytest.approx(1.0, rel=1e-5)
    assert math.isnan(metrics.seam_ratio(motion(steps[:8]), 10)[0])
    assert math.isnan(metrics.ratio(*metrics.seam_ratio(motion(torch.zeros(30)), 10)))


def test_drift_is_how_far_the_end_is_from_the_beginning() -> None:
    swing = torch.tensor([0.1, -0.1] * 150)
    assert metrics.drift(motion(swing)) == pytest.approx(0.0, abs=5e-3)
    later = swing.clone()
    later[-125:] += 0.5
    assert metrics.drift(motion(later)) == pytest.approx(0.5, abs=5e-3)
    wilder = swing.clone()
    wilder[-125:] *= 2.0
    assert metrics.drift(motion(wilder)) == pytest.approx(0.1, abs=5e-3)


def test_spread_is_mean_and_half_range() -> None:
    assert metrics.mean_and_half_range([1.0, 2.0, 6.0]) == (3.0, 2.5)


def test_psnr_and_ssim_know_equal_pictures_and_known_errors() -> None:
    picture = torch.rand(3, 32, 32, generator=generator())
    assert psnr(picture, picture) == pytest.approx(100.0) and ssim(picture, picture) == pytest.approx(1.0)
    assert psnr(picture, picture + 0.1) == pytest.approx(20.0, abs=1e-3)
    flat, lighter = torch.full((3, 32, 32), 0.4), torch.full((3, 32, 32), 0.6)
    expected = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)  # only the luminance term is left
    assert ssim(flat, lighter) == pytest.approx(expected, abs=1e-4)
    noise = 0.2 * torch.randn(3, 32, 32, generator=generator(1))
    assert ssim(picture, (picture + noise).clamp(0, 1)) < 0.95


def test_fidelity_stands_beside_copying_the_source() -> None:
    answer = torch.rand(3, 16, 16, generator=generator())
    made = [Redrawing(answer + 0.1, answer, answer + 0.01, answer)]
    decibels, similarity, gain = fidelity_rows("x", made, (26.0, 0.88, 4.0))
    assert (decibels.value, decibels.still, decibels.met) == ("40.00", "20.00", True)
    assert similarity.met and gain.value == "20.00" and gain.met
    copied = [Redrawing(answer + 0.1, answer, answer + 0.1, answer)]
    assert fidelity_rows("x", copied, (26.0, None, 4.0))[2].met is False
    with pytest.raises(UserError, match="make sessions of more frames"):
        fidelity_rows("x", [], (26.0, None, 4.0))


def test_far_pairs_are_measured_between_the_two_people() -> None:
    one, other = (make_session(1, index, "test", 4, 16) for index in range(2))
    pairs = far_pairs(one, other, 9, 0)
    assert len(set(pairs)) == len(pairs) > 3
    for i, j in pairs:
        assert float(pose_gap_degrees(one.rotation[i], other.rotation[j])) > 5.0
    still = replace(other, rotation=one.rotation[:1].expand(4, -1))
    assert far_pairs(replace(one, rotation=still.rotation), still, 9, 0) == []


def separable_clips(count: int, noise: float, seed: int) -> list[SyntheticClip]:
    """Clips of eight emotions, each raising a rig parameter of its own."""
    base, clips = make_clip(0, "train", (1.0, 1.5), "formant"), []
    g = generator(seed)
    for index in range(count * len(EMOTIONS)):
        e = index % len(EMOTIONS)
        rig = noise * torch.randn(25, 16, generator=g)
        if EMOTIONS[e] != "neutral":
            rig[:, UPPER[e]] += 1.0
        clips.append(replace(base, emotion=EMOTIONS[e], intensity=1.0, rig=rig))
    return clips


def test_the_judge_names_separable_emotions_and_measures_their_strength() -> None:
    judge = fit_judge(separable_clips(6, 0.1, 0), separable_clips(3, 0.1, 1))
    assert judge.counts and judge.on_truth == 1.0
    rig = torch.zeros(25, 16)
    assert judge.name(rig) == "neutral"
    happy = EMOTIONS.index("happy")
    for strength in (0.5, 1.0):
        rig[:, UPPER[happy]] = strength
        assert judge.strength(rig, "happy") == pytest.approx(strength, abs=0.05)
        assert abs(judge.strength(rig, "sad")) < 0.1
    assert judge.name(rig) == "happy"
    rig[:12] = 5.0  # a burst shorter than half the clip moves no median
    assert judge.name(rig) == "happy" and track_summary(rig).shape == (len(UPPER),)
    assert judge.log_odds(rig, "happy") > 0 > judge.log_odds(rig, "sad")
    assert float(judge.true_strength[happy, 2]) == pytest.approx(1.0, abs=0.05)
    assert bool(judge.true_strength[:, 0].isnan().all()), "no clip is that weak"


def test_accuracy_of_weak_emotions_is_shown_only_where_the_judge_can_tell_true_ones() -> None:
    judge = fit_judge(separable_clips(6, 0.1, 0), separable_clips(3, 0.1, 1))
    figures = [EmotionFigures("happy", 1.0, (0.2, 0.5, 0.9), 0.9, weak=0.7)]
    assert weak_rows(figures, judge)[0].value.startswith("not shown"), "not measured"
    assert weak_rows(figures, replace(judge, on_weak=0.89))[0].value.startswith("not shown")
    assert weak_rows(figures, replace(judge, on_weak=0.95))[0].value == "0.700"


def test_a_judge_of_noise_does_not_count_and_lacking_emotions_are_told() -> None:
    clips = separable_clips(4, 0.1, 0)
    noise = [replace(clip, rig=torch.randn(25, 16, generator=generator(k))) for k, clip in enumerate(clips)]
    assert not fit_judge(noise, separable_clips(2, 0.1, 1)).counts
    with pytest.raises(UserError, match="No training clip shows a clear sad face"):
        fit_judge([clip for clip in clips if clip.emotion != "sad"], clips)
    vague = [replace(clip, intensity=0.1) for clip in clips if clip.emotion != "neutral"]
    with pytest.raises(UserError, match="shows an emotion clearly"):
        fit_judge(clips, vague)


def test_intensity_rises_only_when_every_step_does() -> None:
    figures = EmotionFigures("happy", 1.0, (0.2, 0.5, 0.9), 0.9)
    assert figures.row().met is True and "0.20 / 0.50 / 0.90" == figures.row().value
    assert replace(figures, reach=(0.2, 0.2, 0.9)).row().met is False
    assert replace(figures, truth=(0.3, 0.6, 0.8)).row().met is True
    assert replace(figures, truth=(0.33, 0.6, 0.8)).row().met is False, "0.13 from the truth"
    assert replace(figures, emotion="neutral", reach=(0.1,)).row().met is None


def test_a_table_says_the_same_in_markdown_and_json(tmp_path: Path) -> None:
    rows = (Row("a", "1", ">= 1", True, "1", "0", "0.5"), Row("b", number(float("nan")), "< 1", False), Row("c", "2"))
    table = Table("Title", "How.", rows)
    lines = table.markdown().splitlines()
    assert lines[0] == "### Title" and lines[2] == "How."
    assert "| a | 1 | >= 1 | yes | 1 | 0 | 0.5 |" in lines and "| b | - | < 1 | **no** |  |  |  |" in lines
    assert len({line.count("|") for line in lines[4:]}) == 1
    write_tables([table], tmp_path / "new", {"corpus": "abc"})
    assert table.markdown() in (tmp_path / "new" / "evaluation.md").read_text()
    stored = json.loads((tmp_path / "new" / "evaluation.json").read_text())
    assert stored["facts"] == {"corpus": "abc"}
    assert stored["tables"][0]["rows"][1] == {**vars(rows[1])}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["evaluation.json", "evaluation.md"]
    assert number(0.12345) == "0.123" and number(26.0, 2) == "26.00"
