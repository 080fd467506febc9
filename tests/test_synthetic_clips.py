"""Synthetic speech and motion: sounds fall where the lips move, faces show their emotion, heads move like heads."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playmate_core.errors import UserError
from playmate_core.speech import SAMPLE_RATE
from playmate_core.values import EMOTIONS
from training.synthetic import speech
from training.synthetic.acting import HIGH, LOW, blinks, head_track, pattern, smooth_process
from training.synthetic.clips import SPLITS, SyntheticClip, make_clip
from training.synthetic.identity import make_identity
from training.synthetic.lexicon import LEXICON, pronounce
from training.synthetic.rig import RIG, lip_aperture, rig_from_expression
from training.synthetic.sentences import make_sentence, split_of, vocabulary
from training.synthetic.speech import VOICES, Manner, Phone, synthesise_speech
from training.synthetic.visemes import MOUTH, TRACK_RATE, VISEMES, mouth_track, symbols_of

NEEDS_ESPEAK = pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="needs espeakng-loader")
BACKENDS = ["formant", pytest.param("espeak", marks=NEEDS_ESPEAK)]
SENTENCE = "Bob saw my mother, and people moved a map."


@pytest.fixture(scope="module")
def clips() -> list[SyntheticClip]:
    return [make_clip(seed, "train", (2.0, 4.0), "formant") for seed in range(24)]


def same(first: SyntheticClip, second: SyntheticClip) -> bool:
    return (
        torch.equal(first.samples, second.samples)
        and torch.equal(first.motion.expression, second.motion.expression)
        and torch.equal(first.motion.pose.rotation, second.motion.pose.rotation)
        and first.phones == second.phones
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_phones_tile_the_speech_and_stops_are_quiet_where_they_close(backend: str) -> None:
    said = synthesise_speech(SENTENCE, "en-us+m3", 4, backend)
    seconds = len(said.waveform) / SAMPLE_RATE
    assert said.waveform.dtype == np.float32 and 1.5 < seconds < 6.0
    assert all(p.start < p.end <= seconds + 1e-6 for p in said.phones)
    assert all(a.end <= b.start + 1e-9 for a, b in zip(said.phones, said.phones[1:], strict=False))
    sounds = [symbols_of(p.label)[0] for p in said.phones]
    assert sounds[0] == "b" and sounds.count("p") >= 3 and sounds.count("m") >= 4

    def loudness(wanted: Callable[[Phone], bool]) -> float:
        parts = [said.waveform[int(p.start * SAMPLE_RATE) : int(p.end * SAMPLE_RATE)] for p in said.phones if wanted(p)]
        return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))

    assert loudness(lambda p: p.label == "p") < 0.5 * loudness(lambda p: p.stressed)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_said_before_changes_nothing(backend: str) -> None:
    first = synthesise_speech(SENTENCE, "en-us+f2", 1, backend)
    synthesise_speech("Something else altogether.", "en-gb-x-rp+m2", 9, backend)
    again = synthesise_speech(SENTENCE, "en-us+f2", 1, backend)
    assert np.array_equal(first.waveform, again.waveform) and first.phones == again.phones
    assert not np.array_equal(first.waveform, synthesise_speech(SENTENCE, "en-us+f2", 2, backend).waveform)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_slower_manner_takes_longer(backend: str) -> None:
    slow, quick = (synthesise_speech(SENTENCE, "en-us+f2", 1, backend, Manner(rate=rate)) for rate in (0.8, 1.2))
    assert len(slow.waveform) > 1.15 * len(quick.waveform)


def test_voices_are_disjoint_and_wrong_ones_are_named() -> None:
    every = [voice for voices in VOICES.values() for voice in voices]
    assert len(set(every)) == len(every) >= 8
    with pytest.raises(UserError, match="espeak, formant"):
        synthesise_speech("Hello.", "en-us+f2", 0, "parrot")


@NEEDS_ESPEAK
def test_every_voice_speaks() -> None:
    for voice in (voice for voices in VOICES.values() for voice in voices):
        assert len(synthesise_speech("Bob.", voice, 0).phones) == 3, voice
    with pytest.raises(UserError, match="nobody"):
        synthesise_speech("Hello.", "xx+nobody", 0)


@settings(max_examples=15, deadline=None)
@given(st.floats(200, 1800), st.integers(2000, 20000))
def test_resampling_keeps_a_tone(hertz: float, count: int) -> None:
    def tone(time: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * hertz * time) * (0.5 - 0.5 * np.cos(2 * np.pi * time * 22050 / count))

    there = speech.resample_fft(tone(np.arange(count) / 22050).astype(np.float32), 22050, SAMPLE_RATE)
    assert len(there) == -(-count * SAMPLE_RATE // 22050)
    assert np.abs(there - tone(np.arange(len(there)) / SAMPLE_RATE)).max() < 1e-3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(SPLITS)))
def test_sentences_stay_in_their_split_and_every_word_can_be_pronounced(seed: int, split: str) -> None:
    sentence = make_sentence(np.random.default_rng(seed), split)
    assert split_of(sentence) == split
    assert all(pronounce(word.strip(",.?").lower()) for word in sentence.split())


def test_the_lexicon_holds_the_grammar_and_every_phone_has_a_mouth() -> None:
    assert vocabulary() <= LEXICON.keys()
    known = {symbol for symbols, _ in VISEMES.values() for symbol in symbols}
    assert {symbol for word in LEXICON for label in pronounce(word) for symbol in symbols_of(label)} <= known
    assert len(VISEMES) == 22
    assert pronounce("blimp") == ("b", "l", "ɪ", "m", "p")


def test_lips_meet_for_a_bilabial_open_for_a_vowel_and_close_in_pauses() -> None:
    phones = (Phone("ˈɑː", 0.5, 0.8), Phone("b", 0.8, 0.88), Phone("ˈɑː", 0.88, 1.2))
    mouth = mouth_track(phones, 2.0)
    jaw = mouth.targets[:, MOUTH.index("jaw")]
    assert mouth.targets.shape == (200, 4)
    assert jaw[65] > 0.8 and jaw[100] > 0.8
    assert jaw[84] < 0.1 and mouth.closure[84] > 0.95 and mouth.targets[84, MOUTH.index("press")] > 0.35
    assert np.abs(mouth.targets[:35]).max() < 1e-3 and np.abs(mouth.targets[150:]).max() < 1e-3


def test_a_clip_is_a_function_of_its_seed() -> None:
    first = make_clip(11, "val", backend="formant")
    make_clip(3, "train", backend="formant")
    assert same(first, make_clip(11, "val", backend="formant"))
    assert not same(first, make_clip(11, "test", backend="formant"))


def test_clips_carry_consistent_ground_truth(clips: list[SyntheticClip]) -> None:
    for clip in clips:
        frames = len(clip)
        assert len(clip.samples) == 640 * frames and clip.samples.dtype == torch.int16
        assert clip.rig.shape == (frames, 16) and clip.bilabial.shape == clip.stressed.shape == (frames,)
        assert (clip.rig.numpy() >= LOW - 1e-6).all() and (clip.rig.numpy() <= HIGH + 1e-6).all()
        decoded = rig_from_expression(make_identity(clip.identity_seed), clip.motion.expression)
        assert np.abs(decoded - clip.rig.numpy()).max() < 1e-3
        assert (clip.motion.pose.translation[:, 2] == 0).all()
        assert all(0 <= phone.start < phone.end <= frames / 25 for phone in clip.phones)
        first, people = SPLITS["train"]
        assert first <= clip.identity_seed < first + people
        assert clip.voice == "" or clip.voice in VOICES["train"]
    assert {clip.emotion for clip in clips} == set(EMOTIONS)


def test_seventeen_dimensions_are_dead_but_not_zero(clips: list[SyntheticClip]) -> None:
    deviation = torch.cat([clip.motion.expression.flatten(1) for clip in clips]).std(0)
    dead = deviation < 1e-4
    assert int(dead.sum()) == 17
    assert (deviation[dead] > 1e-7).all()


def test_mouths_close_on_bilabials_and_open_when_the_voice_is_loud(clips: list[SyntheticClip]) -> None:
    spoken = [clip for clip in clips if clip.phones]
    ratios = []
    for clip in spoken:
        aperture = lip_aperture(clip.motion.expression)
        loud = clip.waveform.reshape(len(clip), -1).square().mean(-1).sqrt()
        voiced = (loud > 0.5 * loud.max()) & ~clip.bilabial
        ratios.append(float(aperture[clip.bilabial].mean() / aperture[voiced].mean()))
    assert np.mean(ratios) < 0.35


def test_clips_without_speech_keep_the_mouth_still() -> None:
    silent = next(c for s in range(60) if not (c := make_clip(8 * s + 7, "train", (1.0, 1.5), "formant")).phones)
    assert silent.text == "" and silent.emotion == "neutral" and not silent.bilabial.any()
    assert float(silent.rig[:, RIG.index("jaw")].abs().max()) < 1e-3


def test_emotions_are_far_from_each_other_and_neutral_is_nothing() -> None:
    patterns = np.stack([pattern(name) for name in EMOTIONS])
    distance = np.linalg.norm(patterns[:, None] - patterns[None], axis=-1) + 10 * np.eye(len(EMOTIONS))
    assert distance.min() > 0.8
    assert not pattern("neutral").any()


def test_intensity_can_be_read_off_the_face(clips: list[SyntheticClip]) -> None:
    for clip in clips:
        direction = pattern(clip.emotion)
        upper = [RIG.index(n) for n in RIG if n not in (*MOUTH, "gaze_x", "gaze_y", "lid_left", "lid_right")]
        if clip.emotion == "neutral":
            continue
        shown = clip.rig.numpy()[:, upper].mean(0) @ direction[upper] / (direction[upper] @ direction[upper])
        assert shown == pytest.approx(0.92 * clip.intensity, abs=0.12), (clip.emotion, clip.intensity)


def test_heads_are_smooth_small_within_and_far_apart_between() -> None:
    rng, within, means, styles = np.random.default_rng(0), [], [], []
    for seed in range(200):
        carriage = head_track(rng, make_identity(seed), 600, [1.0, 2.0, 4.5])
        within.append(carriage.track.std(0))
        means.append(carriage.track.mean(0))
        styles.append(carriage.style)
    assert (np.std(means, 0) > 3 * np.median(within, 0)).all()
    assert np.median(within, 0)[:3] == pytest.approx([1.4, 2.0, 0.9], rel=0.25)
    assert 2 <= styles.count("static") <= 20 and 2 <= styles.count("shaking") <= 20


def test_nods_fall_on_stresses() -> None:
    rng, stress = np.random.default_rng(1), 3.0
    pitch = np.mean([head_track(rng, make_identity(s), 600, [stress]).track[:, 0] for s in range(400)], 0)
    pitch = pitch - np.median(pitch)
    assert 2.95 < np.argmax(pitch) / TRACK_RATE < 3.15


def test_smooth_noise_has_unit_size_the_asked_memory_and_no_jumps() -> None:
    track = smooth_process(np.random.default_rng(0), 40000, 0.5, 2)
    assert track.std(0) == pytest.approx([1.0, 1.0], abs=0.1)
    lagged = np.mean(track[:-50] * track[50:], 0) / track.var(0)
    assert lagged == pytest.approx([np.exp(-1), np.exp(-1)], abs=0.1)
    assert np.abs(np.diff(track, axis=0)).max() < 0.3


def test_blinks_come_at_their_rate_and_close_the_eye() -> None:
    closed = blinks(np.random.default_rng(0), 100 * 600, 0.4)
    shut = np.flatnonzero(np.diff((closed > 0.99).astype(int)) == 1)
    assert len(shut) / 600 == pytest.approx(1 / (1 / 0.4 + 0.5), rel=0.2)
    assert closed.max() == 1.0 and closed.min() == 0.0 and np.diff(shut).min() >= 50
