"""The judge of lips: phones from sound, measures with known answers, and its own check on wrong sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from playmate_core.values import FPS
from training.evaluate.videos import lip_validation
from training.evaluate.videos.alignment import AlignedPhone, NotAligned, Spoken, align
from training.evaluate.videos.lip_sync import (
    CONSONANT,
    MAX_LAG,
    OPENNESS,
    closed_below,
    compare_lips,
    correlations,
    lip_opening,
    lip_score,
    openness_curve,
)
from training.evaluate.videos.lip_validation import Heard, validate

FRAMES = 120


def sentence(seed: int, start: float = 0.4) -> tuple[AlignedPhone, ...]:
    """Vowels, bilabials and other consonants in random order, silence around them."""
    rng = np.random.default_rng(seed)
    phones, now = [AlignedPhone("SIL", 0.0, start)], start
    while now < FRAMES / FPS - 0.8:
        for group, low, high in ((("M", "B", "P", "T", "S"), 0.06, 0.1), (("AA", "AE", "IY", "UW"), 0.08, 0.2)):
            length = float(rng.uniform(low, high))
            phones.append(AlignedPhone(str(rng.choice(group)), now, now + length))
            now += length
    return (*phones, AlignedPhone("SIL", now, FRAMES / FPS))


def later(phones: tuple[AlignedPhone, ...], seconds: float) -> tuple[AlignedPhone, ...]:
    return tuple(AlignedPhone(one.name, one.start + seconds, one.end + seconds) for one in phones)


def spoken_by(phones: tuple[AlignedPhone, ...], late: int = 0) -> np.ndarray:
    """Lips that open exactly as these phones would have them, ``late`` frames behind."""
    return 0.02 + 0.2 * np.roll(openness_curve(phones, FRAMES), late)


def articulated(phones: tuple[AlignedPhone, ...]) -> np.ndarray:
    """Lips that are in every frame as closed as the most closed phone that sounds in it."""
    edges = np.arange(FRAMES + 1) / FPS
    return 0.02 + 0.2 * np.array(
        [
            min(OPENNESS.get(p.name, CONSONANT) for p in phones if p.start < end and p.end > start)
            for start, end in zip(edges[:-1], edges[1:], strict=True)
        ]
    )


def test_the_opening_does_not_depend_on_size_turn_or_mouth_width() -> None:
    points = np.zeros((3, 478, 2), np.float32)
    points[:, 33], points[:, 263] = (100, 100), (200, 100)
    points[:, 13, 0] = points[:, 14, 0] = 150
    points[:, 13, 1], points[:, 14, 1] = 180, (180, 190, 230)
    points[:, 61], points[:, 291] = (120, 185), (180, 185)
    expected = [0, 0.1, 0.5]
    assert lip_opening(points) == pytest.approx(expected, abs=1e-6)
    turned = points @ np.float32([[0, 2], [-2, 0]])
    turned[:, 61] += 30
    assert lip_opening(turned) == pytest.approx(expected, abs=1e-6)
    points[1] = np.nan
    assert np.isnan(lip_opening(points)).tolist() == [False, True, False]


@pytest.mark.parametrize("late", [-5, -1, 0, 1, 5, 9])
def test_the_lag_of_lips_is_recovered(late: int) -> None:
    phones = sentence(0)
    opening = spoken_by(phones, late)
    score = lip_score([compare_lips(opening, phones, closed_below(opening))])
    assert score.lag == late and score.correlation > 0.95
    assert score.in_time == (abs(late) <= 1)


def test_exact_lips_score_best_and_stills_score_nothing() -> None:
    phones = sentence(1)
    exact, still = articulated(phones), np.full(FRAMES, 0.1)
    threshold = closed_below(exact)
    best = lip_score([compare_lips(exact, phones, threshold)])
    none = lip_score([compare_lips(still, phones, threshold)])
    assert best.closure > 0.6 and best.auc > 0.95 and best.silence < 0.3
    assert none.closure == 0 and none.auc == 0.5 and none.silence == pytest.approx(1)
    assert np.isnan([none.lag, none.correlation, none.in_time]).all()
    shut = lip_score([compare_lips(np.zeros(FRAMES), phones, threshold)])
    assert shut.closure == 0  # lips that never open are no better on bilabials


def test_lips_of_another_sentence_score_worse() -> None:
    opening = spoken_by(sentence(2))
    right, wrong = (lip_score([compare_lips(opening, sentence(s), closed_below(opening))]) for s in (2, 3))
    assert wrong.correlation < 0.7 * right.correlation
    assert wrong.closure < right.closure - 0.2 and wrong.auc < right.auc - 0.15


def test_clips_count_by_what_they_show() -> None:
    phones = sentence(4)
    opening = spoken_by(phones)
    one = compare_lips(opening, phones, closed_below(opening))
    twice = lip_score([one, one])
    assert twice == lip_score([one])
    silent = compare_lips(opening, (), closed_below(opening))
    assert lip_score([one, silent]).auc == twice.auc and np.isnan(lip_score([silent]).auc)
    assert np.isnan(closed_below(np.full(9, 0.1))) and np.isnan(closed_below(np.full(9, np.nan)))


def test_frames_without_a_face_are_left_out() -> None:
    phones = sentence(5)
    opening = spoken_by(phones, 3)
    opening[40:55] = np.nan
    score = lip_score([compare_lips(opening, phones, closed_below(opening))])
    assert score.lag == 3 and np.isfinite(score.auc)
    assert np.isnan(correlations(np.full(FRAMES, np.nan), openness_curve(phones, FRAMES))).all()


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> None:
    """An aligner that knows which sentence a sound is by its level, and when it begins by its first sample."""

    def hear(samples: np.ndarray, text: str = "") -> Spoken:
        loud = np.flatnonzero(samples)
        if not len(loud):
            raise NotAligned("its sound is silent")
        phones = sentence(round(float(samples[loud[0]]) * 100))
        return Spoken(later(phones, loud[0] / 16_000 - 0.4), recognised=False)

    monkeypatch.setattr(lip_validation, "align", hear)


def sounding(seed: int, opening: np.ndarray | None = None) -> Heard:
    samples = np.zeros(round(FRAMES / FPS * 16_000), np.float32)
    samples[6400:] = seed / 100
    lips = spoken_by(sentence(seed)) if opening is None else opening
    return Heard(lips, samples, "", Spoken(sentence(seed), recognised=False))


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_the_judge_passes_its_check_where_lips_follow(seeds: tuple[int, ...]) -> None:
    checked = validate([sounding(seed) for seed in seeds])
    assert checked.fault == ""
    assert (checked.late.lag, checked.own.lag, checked.early.lag) == (-5, 0, 5)
    assert checked.figures()["lag with sound 5 frames late"] == -5


@pytest.mark.usefixtures("listening")
def test_the_judge_is_not_believed_where_lips_do_something_else() -> None:
    rng = np.random.default_rng(0)
    restless = [sounding(seed, rng.uniform(0, 0.3, FRAMES)) for seed in (1, 2)]
    assert validate(restless).fault != ""
    assert "moved the lag by +nan" in validate([sounding(1, np.full(FRAMES, 0.1))]).fault
    passed = validate([sounding(1), sounding(2)])
    swapped = replace(passed, swapped=passed.own)
    assert "swapped sound correlates" in swapped.fault
    assert "AUC" in replace(passed, swapped=replace(passed.own, correlation=0.0)).fault
    assert "late moved the lag by +0 instead of -5" in replace(passed, late=passed.own).fault


def test_silent_sound_is_not_aligned() -> None:
    for samples in (np.zeros(16_000, np.float32), np.zeros(10, np.float32)):
        with pytest.raises(NotAligned, match="silent"):
            align(samples, "hello")


def test_aligned_phones_lie_where_they_were_spoken() -> None:
    pytest.importorskip("pocketsphinx", reason="pocketsphinx is not installed")
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed")
    from training.synthetic.clips import make_clip

    errors = []
    for seed in (3, 9, 14):
        clip = make_clip(seed, "test", (3, 5), "espeak")
        found = align(clip.waveform.numpy(), clip.text)
        assert not found.recognised
        spoken = [p.start for p in clip.phones if p.label.strip("ˈˌ") in ("p", "b", "m")]
        heard = [p.start for p in found.phones if p.name in ("P", "B", "M")]
        errors += [min(abs(one - other) for other in heard) for one in spoken]
    assert np.median(errors) < 0.03 and np.percentile(errors, 90) < 0.08
    # words the dictionary lacks are recognised instead
    assert align(clip.waveform.numpy(), "Xyzzyqq blorptian").recognised
    assert MAX_LAG >= 2 * lip_validation.SHIFT
