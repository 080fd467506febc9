"""Speech: audio encoders, and the waveforms they take."""

from .encoders import ENCODERS, AudioEncoder, Backend, make_encoder
from .waveform import SAMPLE_RATE, Resampler, Speech, frame_count, loudness, mono, resample

__all__ = [
    "ENCODERS",
    "SAMPLE_RATE",
    "AudioEncoder",
    "Backend",
    "Resampler",
    "Speech",
    "frame_count",
    "loudness",
    "make_encoder",
    "mono",
    "resample",
]
