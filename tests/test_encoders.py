"""Listening: exact alignment to video frames, level and silence, chunks, and what bad audio is told."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from playmate_core.errors import UserError
from playmate_core.speech import SAMPLE_RATE, Speech, frame_count, make_encoder, mono, resample
from playmate_core.speech.encoders import LogMel, chunk_plan
from playmate_core.speech.waveform import FRAME, speech_gain

RANDOM = np.random.default_rng(0)


def babble(seconds: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Noise that starts and stops like syllables, about -23 dB, with pauses."""
    time = np.arange(round(seconds * rate)) / rate
    envelope = np.clip(np.sin(2 * np.pi * 2.3 * time), 0.003, 1) * np.clip(3 * np.sin(2 * np.pi * 0.3 * time), 0.003, 1)
    tone = np.sin(2 * np.pi * 180 * time) + 0.5 * np.sin(2 * np.pi * 900 * time)
    return (0.1 * envelope * (tone + 0.1 * np.random.default_rng(1).standard_normal(len(time)))).astype(np.float32)


# Counting


@given(st.integers(0, 10**9), st.integers(8000, 192000))
def test_frame_count_is_the_exact_ceiling(samples: int, rate: int) -> None:
    exact = Fraction(samples, rate) * 25
    assert frame_count(samples, rate) == -((-exact.numerator) // exact.denominator)


def test_frame_count_known_values() -> None:
    assert [frame_count(n, 16000) for n in (0, 1, 160, 640, 641, 1280)] == [0, 1, 1, 1, 2, 2]
    assert frame_count(44100 * 3600, 44100) == 90000
    assert frame_count(44100 * 3600 + 1, 44100) == 90001


def test_every_length_gives_its_frames() -> None:
    """All lengths from 1 to 500 frames, exact, one sample short and one over; as samples, which all backends share."""
    for frames in range(1, 501):
        for extra in (-1, 0, 1):
            samples = frames * FRAME + extra
            speech = Speech.from_waveform(np.ones(samples, np.float32), SAMPLE_RATE)
            assert len(speech) == frame_count(samples, SAMPLE_RATE)
            assert len(speech.cut(0, len(speech), 0)) == len(speech) * FRAME
            assert len(speech.power()) == frames + (extra > 0)


@pytest.mark.parametrize("frames", [1, 2, 3, 24, 25, 26, 149, 500])
@pytest.mark.parametrize("extra", [-639, -1, 0, 1])
def test_logmel_rows_equal_frames(frames: int, extra: int) -> None:
    samples = frames * FRAME + extra
    heard = make_encoder("logmel").listen(babble(samples / SAMPLE_RATE), SAMPLE_RATE)
    assert heard.features.shape == (frames + (extra > 0), 1, 160)
    assert heard.encoder == "logmel" and heard.fps == 25.0
    assert heard.features.dtype == torch.float32


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000])
def test_any_rate_gives_the_same_frames_and_sound(rate: int) -> None:
    time = np.arange(rate) / rate
    tone = (0.2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    speech = Speech.from_waveform(tone, rate)
    samples = speech.cut(0, 25, 0)
    assert len(speech) == 25 and len(samples) == 25 * FRAME
    expected = 0.2 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(samples - expected)[1000:-1000].max() < 2e-3
    assert len(resample(tone, rate)) == 16000
    assert len(make_encoder("logmel").listen(tone[: rate // 100], rate)) == 1  # 10 ms


def test_channels_are_averaged_and_integers_scaled() -> None:
    left = RANDOM.uniform(-1, 1, 1000).astype(np.float32)
    np.testing.assert_allclose(mono(np.stack([left, 0 * left])), left / 2, atol=1e-7)
    np.testing.assert_allclose(mono(np.stack([left] * 6)), left, atol=1e-6)
    np.testing.assert_allclose(mono((left * 32767).astype(np.int16)), left, atol=1e-4)
    np.testing.assert_allclose(mono(torch.from_numpy(left).double()), left, atol=1e-7)


def test_the_input_is_not_changed() -> None:
    sound = babble(1.0) + 0.1
    kept = sound.copy()
    make_encoder("logmel").listen(sound, SAMPLE_RATE)
    assert np.array_equal(sound, kept)


# Alignment of logmel


@pytest.mark.parametrize("where", [40, 160, 319, 480, 600])
def test_a_click_peaks_in_its_own_row(where: int) -> None:
    encoder = make_encoder("logmel")
    for frame in (0, 1, 7, 18, 19):
        sound = np.zeros(20 * FRAME, np.float32)
        sound[frame * FRAME + where] = 1.0
        heard = encoder.listen(sound, SAMPLE_RATE)
        assert int(heard.features.sum(dim=(1, 2)).argmax()) == frame
        assert int(heard.energy.argmax()) == frame


def test_tokens_lie_symmetrically_in_their_frame() -> None:
    """A sound and its mirror image give mirrored hops: the windows are centred, to the sample."""
    sound = babble(2.0)
    sound = sound - sound.mean()
    encoder = make_encoder("logmel")
    forward, backward = (encoder.listen(s, SAMPLE_RATE).features.reshape(-1, 40) for s in (sound, sound[::-1].copy()))
    torch.testing.assert_close(forward, backward.flip(0), atol=2e-3, rtol=0)


def test_two_tokens_lie_side_by_side() -> None:
    """A click in the first half of a frame fills the first half of its row."""
    sound = np.zeros(5 * FRAME, np.float32)
    sound[2 * FRAME + 100] = 1.0
    row = make_encoder("logmel").listen(sound, SAMPLE_RATE).features[2, 0]
    assert float(row[:80].sum()) > float(row[80:].sum()) + 10


# Level


def test_silence_stays_silent() -> None:
    heard = make_encoder("logmel").listen(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)
    assert float(heard.energy.max()) == 0.0
    floor = (LogMel.FLOOR_DB - LogMel.MEAN_DB) / LogMel.SPREAD_DB
    torch.testing.assert_close(heard.features, torch.full_like(heard.features, floor))
    offset = make_encoder("logmel").listen(np.full(SAMPLE_RATE, 0.25, np.float32), SAMPLE_RATE)
    torch.testing.assert_close(offset.features, heard.features)


@pytest.mark.parametrize("decibels", [-80, -60, -50, -40])
def test_steady_noise_is_never_turned_up(decibels: float) -> None:
    noise = RANDOM.standard_normal(3 * SAMPLE_RATE).astype(np.float32) * np.float32(10 ** (decibels / 20))
    assert speech_gain(Speech.from_waveform(noise, SAMPLE_RATE).power()) <= 1.05


@pytest.mark.parametrize("decibels", [-12, 12])
def test_gain_hardly_matters(decibels: float) -> None:
    sound = babble(6.0)
    encoder = make_encoder("logmel")
    plain = encoder.listen(sound, SAMPLE_RATE)
    changed = encoder.listen(sound * np.float32(10 ** (decibels / 20)), SAMPLE_RATE)
    assert float((plain.features - changed.features).abs().mean()) < 0.02
    assert float((plain.energy - changed.energy).abs().max()) < 0.02


def test_active_speech_is_levelled_whatever_the_pauses() -> None:
    sound = babble(6.0)
    gapped = np.concatenate([sound, np.zeros(20 * SAMPLE_RATE, np.float32)])
    short, long = (speech_gain(Speech.from_waveform(s, SAMPLE_RATE).power()) for s in (sound, gapped))
    assert abs(20 * np.log10(short / long)) < 0.5


def test_energy_follows_loudness() -> None:
    sound = np.concatenate([babble(2.0), np.zeros(SAMPLE_RATE, np.float32)])
    energy = make_encoder("logmel").listen(sound, SAMPLE_RATE).energy
    assert float(energy[51:].max()) == 0.0
    assert 0.5 < float(energy.max()) <= 1.0


# Chunks


@given(st.integers(1, 100_000), st.integers(10, 750), st.integers(0, 4))
def test_chunks_cover_everything_once(frames: int, longest: int, overlap: int) -> None:
    plan = chunk_plan(frames, longest, overlap)
    assert plan[0][0] == 0 and plan[-1][1] == frames
    assert all(a[1] == b[0] for a, b in zip(plan, plan[1:], strict=False))
    room = longest if len(plan) == 1 else longest - 2 * overlap
    assert all(0 < last - first <= room for first, last in plan)


def test_logmel_chunks_equal_the_whole() -> None:
    sound = babble(9.0)
    encoder: Any = make_encoder("logmel")
    whole = encoder.listen(sound, SAMPLE_RATE).features
    encoder.chunk_frames = 17
    seen: list[tuple[int, int]] = []
    parts = encoder.listen(sound, SAMPLE_RATE, progress=lambda done, total: seen.append((done, total))).features
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)
    assert seen[-1][0] == seen[-1][1] == len(seen) == 14


def test_ten_minutes_stay_small() -> None:
    """Python's own and numpy's memory: little more than the sound, twice, and the features."""
    import tracemalloc

    encoder = make_encoder("logmel")
    encoder.listen(babble(0.1), SAMPLE_RATE)
    sound = np.tile(babble(10.0), 60)
    tracemalloc.start()
    heard = encoder.listen(sound, SAMPLE_RATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(heard) == 15000
    assert peak < 1.3 * sound.nbytes + 60e6


# What people are told


@pytest.mark.parametrize(
    ("sound", "rate", "message"),
    [
        (np.zeros(0, np.float32), 16000, "empty"),
        (np.zeros((2, 0), np.float32), 16000, "empty"),
        (np.array([0.0, np.nan], np.float32), 16000, "NaN"),
        (np.array([0.0, np.inf], np.float32), 16000, "NaN"),
        (np.zeros((2, 3, 4), np.float32), 16000, "shape"),
        (np.zeros((1000, 2), np.float32), 16000, "shape"),
        (np.full(100, 20000.0, np.float32), 16000, "32768"),
        (np.ones(100, np.float32), 0, "8000 to 192000"),
        (np.ones(100, np.float32), 7999, "8000 to 192000"),
        (np.ones(100, np.float32), 192001, "8000 to 192000"),
    ],
)
def test_bad_audio_gets_a_sentence(sound: np.ndarray, rate: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_encoder("logmel").listen(sound, rate)


def test_unknown_encoder_is_told_the_names() -> None:
    with pytest.raises(UserError, match="logmel, wav2vec2"):
        make_encoder("whisper")
