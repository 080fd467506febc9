"""Log-mel without librosa: the very numbers that librosa gave, without its compiling and its cache folder."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from child_process import run_script

from playmate_core.speech import make_encoder, resample
from playmate_core.speech.encoders import LogMel, mel_filters

#: Made by librosa 0.11 from ``voice``: features at two rates, and the filters.
GOLDEN = np.load(Path(__file__).parent / "data/logmel.npz")
needs_librosa = pytest.mark.skipif(find_spec("librosa") is None, reason="librosa is not installed")

LISTEN = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("librosa", "numba"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import numpy as np
from playmate_core.speech import make_encoder
print(tuple(make_encoder("logmel").listen(np.zeros(44100, np.float32), 44100).features.shape))
"""


def voice(rate: int) -> np.ndarray:
    """A second of two tones that come and go like syllables."""
    time = np.arange(rate) / rate
    tones = np.sin(2 * np.pi * 180 * time) + 0.5 * np.sin(2 * np.pi * 2900 * time)
    return (0.1 * np.clip(np.sin(2 * np.pi * 2.3 * time), 0.003, 1) * tones).astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 22050])
def test_features_are_what_librosa_gave(rate: int) -> None:
    heard = make_encoder("logmel").listen(voice(rate), rate).features.numpy()
    np.testing.assert_allclose(heard, GOLDEN[f"features_{rate}"], rtol=0, atol=1e-6)


def test_filters_are_what_librosa_gave() -> None:
    np.testing.assert_allclose(mel_filters(LogMel.FFT, LogMel.BANDS), GOLDEN["mel"], rtol=0, atol=1e-7)


@needs_librosa
@pytest.mark.parametrize("rate", [8000, 11025, 37777, 192000])
@pytest.mark.parametrize("samples", [1, 7, 441, 12593])
def test_resampling_is_librosas(rate: int, samples: int) -> None:
    import librosa

    sound = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    expected = librosa.resample(sound, orig_sr=rate, target_sr=16000, res_type="soxr_hq")
    np.testing.assert_array_equal(resample(sound, rate), expected)


def test_listening_needs_neither_librosa_nor_a_compiler() -> None:
    done = run_script(LISTEN, ())
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(25, 1, 160)"
