"""Speech in a temporary file: the same samples and features as in memory, and no memory that grows with its length."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import save_wav

from playmate_core.errors import UserError
from playmate_core.media.audio_files import read_sound, store_speech
from playmate_core.speech import SAMPLE_RATE, make_encoder
from playmate_core.speech.samples import BLOCK, Padded, StoredSamples, cut_samples, mean_of
from playmate_core.speech.stored_rows import StoredRows
from playmate_core.values import AudioFeatures


def stored(samples: np.ndarray, piece: int = 7777) -> StoredSamples:
    made = StoredSamples()
    for begin in range(0, len(samples), piece):
        made.append(samples[begin : begin + piece])
    return made


def speech(seconds: float) -> np.ndarray:
    """Noise that is louder and quieter, float32."""
    count = round(seconds * SAMPLE_RATE)
    loudness = 0.1 + 0.1 * np.sin(np.arange(count) * (2 * np.pi * 3 / SAMPLE_RATE))
    return (loudness * np.random.default_rng(1).standard_normal(count)).astype(np.float32)


def test_any_part_is_read_as_from_an_array() -> None:
    sound = speech(3.0)
    kept, random = stored(sound), np.random.default_rng(0)
    assert len(kept) == len(sound) and np.array_equal(kept[:], sound)
    for begin, end in random.integers(0, len(sound) + 100, (50, 2)):
        assert np.array_equal(kept[begin:end], sound[begin:end])
    for begin, length in random.integers(-2000, len(sound) + 2000, (50, 2)):
        length = abs(length)
        whole = np.pad(sound, (2000, len(sound) + 6000))[begin + 2000 :][:length]
        assert np.array_equal(cut_samples(kept, begin, begin + length), whole[:length])
    padded = Padded(kept, 1280, 640)
    assert len(padded) == len(sound) + 1920
    assert np.array_equal(padded[:], np.pad(sound, (1280, 640)))
    assert np.array_equal(padded[len(padded) - 700 : len(padded) + 5], np.pad(sound, (1280, 640))[-700:])


def test_it_is_cut_and_filled_to_a_length() -> None:
    kept = stored(np.ones(1000, np.float32))
    kept.resize(700)
    kept.append(np.full(10, 2, np.float32))
    kept.resize(BLOCK + 1000)
    assert np.array_equal(kept[698:712], [1, 1, *[2] * 10, 0, 0])
    assert len(kept) == BLOCK + 1000 and not kept[710:].any()


@pytest.mark.parametrize("samples", [1, 8191, BLOCK, 3 * BLOCK + 12345])
def test_the_mean_has_the_bits_of_one_sum(samples: int) -> None:
    sound = np.random.default_rng(samples).standard_normal(samples).astype(np.float32) + np.float32(0.01)
    assert mean_of(stored(sound, BLOCK)) == mean_of(sound) == np.float32(sound.mean(dtype=np.float64))


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("second", [0.5, -1.0])  # of which the last cancels the first
def test_a_file_is_stored_as_it_is_read(tmp_path: Path, rate: int, second: float) -> None:
    first = np.resize(speech(2.0), rate * 3 + 17) * 0.5
    path = save_wav(tmp_path / "speech.wav", np.stack([first, second * first]), rate)
    assert np.array_equal(store_speech(path)[:], read_sound(path).waveform)


def test_features_are_the_same_bits() -> None:
    sound = speech(40.0)  # more than a chunk
    encoder = make_encoder("logmel")
    whole, read = encoder.listen(sound, SAMPLE_RATE), encoder.listen(stored(sound), SAMPLE_RATE)
    assert isinstance(read.features, StoredRows) and read.features.shape == whole.features.shape
    assert torch.equal(whole.features[:], read.features[:]) and torch.equal(whole.energy, read.energy)
    for place in (torch.arange(700, 800), torch.tensor([3, 3, 999, 0]), torch.tensor([5])):
        assert torch.equal(whole.features[place], read.features[place])


def test_rows_before_and_after_the_speech() -> None:
    rows = torch.arange(24.0).reshape(12, 1, 2)
    file = StoredRows((1, 2))
    file.append(rows[3:10])
    for features in (rows[3:10], file):
        audio = AudioFeatures(features, torch.zeros(7), "x", before=rows[:3], after=rows[10:])
        assert torch.equal(audio.rows_at(torch.arange(-3, 9)), rows)
        bare = AudioFeatures(features, torch.zeros(7), "x", before=rows[:0])
        assert torch.equal(bare.rows_at(torch.tensor([6, 0, 2])), rows[[9, 3, 5]])


def test_bad_sound_is_refused_as_in_memory() -> None:
    encoder = make_encoder("logmel")
    for sound, message in ((np.full(100, 65.0, np.float32), "32768"), (np.zeros(0, np.float32), "empty")):
        with pytest.raises(UserError, match=message):
            encoder.listen(stored(sound), SAMPLE_RATE)
    with pytest.raises(ValueError, match="16000"):
        encoder.listen(stored(np.ones(100, np.float32)), 8000)


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full is Linux's")
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: full.open("r+b", buffering=0))
    with pytest.raises(UserError, match="No space left on device; please make room"):
        StoredSamples().append(np.ones(10, np.float32))


def test_memory_does_not_grow_with_the_speech(tmp_path: Path) -> None:
    """Reading and encoding: numpy's memory, in which the samples of a minute take 3.8 MB."""
    encoder, peaks = make_encoder("logmel"), []
    encoder.listen(speech(0.1), SAMPLE_RATE)
    for seconds in (60, 240):
        path = save_wav(tmp_path / f"{seconds}.wav", np.resize(speech(10.0), seconds * SAMPLE_RATE)[None], SAMPLE_RATE)
        tracemalloc.start()
        heard = encoder.listen(store_speech(path), SAMPLE_RATE)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(heard) == 25 * seconds
    assert peaks[1] < peaks[0] + 1e6, peaks
