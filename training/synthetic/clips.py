"""Clips: a voice, the words' times, and the exact motion of the head that says them (docs/method.md 4.1). No pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from playmate_core.speech import SAMPLE_RATE
from playmate_core.values import EMOTIONS, FPS, Motion, Pose
from training.clip import Clip

from .acting import MANNERS, face_track, head_track
from .identity import Identity, canonical_keypoints, make_identity
from .rig import BASIS, expression_from_rig
from .sentences import make_sentence
from .speech import VOICES, Manner, Phone, SyntheticSpeech, synthesise_speech
from .visemes import TRACK_RATE, is_bilabial, mouth_track

#: First identity seed of each split, and how many people its clips show.
SPLITS = {"train": (0, 400), "val": (1_000_000, 40), "test": (2_000_000, 40)}
_SPLIT_SALT = {name: index for index, name in enumerate(SPLITS)}
SAMPLES_PER_FRAME = int(SAMPLE_RATE / FPS)
_TICKS_PER_FRAME = int(TRACK_RATE / FPS)
INTENSITIES = (1 / 3, 2 / 3, 1.0)
#: What a model trained on such clips may be used for, and what it may say of them.
LICENSE = "Apache-2.0"
DESCRIPTION = "synthetic talking heads and espeak-ng speech, made by `python -m training corpus`; no recorded person"
_DEAD = torch.from_numpy(np.abs(BASIS).max(0) == 0).reshape(21, 3)


@dataclass(frozen=True)
class SyntheticClip(Clip):
    """A clip of T frames and everything that is true of it; t_z = 0.

    ``samples`` (640 T,) int16 at 16 kHz; ``rig`` (T, 16); ``bilabial`` (T,) bool, lips meet; ``stressed`` (T,) bool, a
    main stress begins; ``prosody`` is "neutral" or "emotional", ``style`` how the head moves. A clip without speech has
    no phones and an empty text.
    """

    identity_seed: int
    voice: str
    text: str
    prosody: str
    style: str
    phones: tuple[Phone, ...]
    samples: Tensor
    rig: Tensor
    bilabial: Tensor
    stressed: Tensor

    @property
    def waveform(self) -> Tensor:
        return self.samples.float() / 32768.0


def make_clip(
    seed: int,
    split: str,
    seconds: tuple[float, float] = (4.0, 10.0),
    backend: str = "espeak",
    person: int | None = None,
) -> SyntheticClip:
    """The clip of that seed: identities, voices and sentences of ``split`` only, ``seconds`` the lengths it aims for.

    Eight seeds in a row show the eight emotions, by ``person`` of the split (modulo their number) or by one drawn. A
    pure function: no state survives from clip to clip.
    """
    rng = np.random.default_rng([seed, _SPLIT_SALT[split], 0xC119])
    first, people = SPLITS[split]
    drawn = int(rng.integers(people))
    identity = make_identity(first + (drawn if person is None else person % people))
    emotion = EMOTIONS[seed % len(EMOTIONS)]
    intensity = float(rng.choice(INTENSITIES)) if rng.random() < 0.7 else float(rng.uniform(0.2, 1.0))
    prosody = "emotional" if rng.random() < 0.5 else "neutral"
    voice = VOICES[split][int(rng.integers(len(VOICES[split])))]
    manner = MANNERS[emotion] if prosody == "emotional" else Manner()
    target = float(rng.uniform(*seconds))
    if rng.random() < 0.1:
        text, speech = "", SyntheticSpeech(np.zeros(int(target * SAMPLE_RATE), np.float32), ())
    else:
        text, speech = _talk(rng, split, voice, manner, target, backend)
    frames = max(1, -(-len(speech.waveform) // SAMPLES_PER_FRAME))
    length = frames / FPS
    mouth = mouth_track(speech.phones, length)
    stresses = [phone.start for phone in speech.phones if phone.stressed]
    face = face_track(rng, identity, mouth, stresses, emotion, intensity)
    head = head_track(rng, identity, len(face), stresses)
    rig = torch.from_numpy(_per_frame(face)).float()
    return SyntheticClip(
        id=f"{split}-{seed:09d}",
        speaker=str(identity.seed),
        license_tag=LICENSE,
        identity_seed=identity.seed,
        voice=voice if text else "",
        text=text,
        emotion=emotion,
        intensity=intensity,
        prosody=prosody if text else "neutral",
        style=head.style,
        phones=speech.phones,
        samples=_recorded(rng, speech.waveform, frames * SAMPLES_PER_FRAME, bool(text)),
        motion=Motion(_pose(_per_frame(head.track)), _expression(rng, identity, rig)),
        keypoints=torch.from_numpy(canonical_keypoints(identity)),
        rig=rig,
        bilabial=_bilabial(speech.phones, _per_frame(mouth.closure[:, None])[:, 0]),
        stressed=_marked(stresses, frames),
    )


def _talk(
    rng: Generator, split: str, voice: str, manner: Manner, target: float, backend: str
) -> tuple[str, SyntheticSpeech]:
    """Sentences with real pauses, as many as ``target`` seconds hold (one at least), silence before and after."""
    voice_seed = int(rng.integers(2**31))
    now, tail = float(rng.uniform(0.15, 0.6)), float(rng.uniform(0.2, 0.8))
    pieces: list[tuple[float, SyntheticSpeech]] = []
    words: list[str] = []
    while True:
        sentence = make_sentence(rng, split)
        said = synthesise_speech(sentence, voice, voice_seed, backend, manner)
        length = len(said.waveform) / SAMPLE_RATE
        if pieces and now + length + tail > target:
            break
        pieces.append((now, said))
        words.append(sentence)
        now += length + float(rng.uniform(0.3, 0.8))
    end = pieces[-1][0] + len(pieces[-1][1].waveform) / SAMPLE_RATE + tail
    waveform = np.zeros(int(end * SAMPLE_RATE), np.float32)
    phones: list[Phone] = []
    for start, said in pieces:
        at = int(start * SAMPLE_RATE)
        waveform[at : at + len(said.waveform)] += said.waveform
        phones += [phone.later(at / SAMPLE_RATE) for phone in said.phones]
    return " ".join(words), SyntheticSpeech(waveform, tuple(phones))


def _recorded(rng: Generator, waveform: NDArray[np.float32], count: int, speaks: bool) -> Tensor:
    """What a microphone makes of it: gain +-6 dB, room tone; 10 to 30 dB of noise on 30 %, a telephone band on 10 %."""
    sound = np.zeros(count)
    sound[: len(waveform)] = waveform[:count]
    loud = np.sqrt(np.mean(sound[sound != 0.0] ** 2)) if speaks else 0.06
    sound *= 0.06 / loud
    dice_noise, dice_band = rng.random(2)
    snr = rng.uniform(10, 30) if dice_noise < 0.3 else rng.uniform(45, 65)
    sound += _noise(rng, count) * 0.06 * 10 ** (-snr / 20)
    if dice_band < 0.1:
        spectrum = np.fft.rfft(sound)
        spectrum[len(spectrum) // 2 :] = 0.0  # nothing above 4 kHz
        sound = np.fft.irfft(spectrum, count)
    sound *= 10 ** (rng.uniform(-6, 6) / 20)
    return torch.from_numpy(np.round(sound.clip(-0.99, 0.99) * 32767).astype(np.int16))


def _noise(rng: Generator, count: int) -> NDArray[np.float64]:
    """Noise of unit power, white to brownish."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum *= (np.arange(len(spectrum)) + 20.0) ** -float(rng.uniform(0.0, 0.8))
    sound = np.fft.irfft(spectrum, count)
    return np.asarray(sound / sound.std())


def _per_frame(track: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average of a 100 Hz track (4 T, C) over each frame -> (T, C)."""
    return track.reshape(-1, _TICKS_PER_FRAME, track.shape[1]).mean(1)


def _pose(track: NDArray[np.float64]) -> Pose:
    values = torch.from_numpy(track).float()
    translation = torch.cat([values[:, 3:5], torch.zeros(len(values), 1)], -1)
    return Pose(values[:, :3].contiguous(), translation, values[:, 5:].exp())


def _expression(rng: Generator, identity: Identity, rig: Tensor) -> Tensor:
    """Offsets (T, 21, 3); where nothing moves there is a millionth of noise, as in extracted motion.

    See docs/method.md 1.3.
    """
    delta = torch.from_numpy(expression_from_rig(identity, rig.numpy()))
    dust = torch.from_numpy(rng.normal(0, 1e-6, delta.shape)).float()
    return delta + dust * _DEAD


def _bilabial(phones: tuple[Phone, ...], closure: NDArray[np.float64]) -> Tensor:
    """Frames where lips meet: mostly closed, or holding the middle of a /p b m/."""
    frames = torch.from_numpy(closure > 0.6)
    middles = [(phone.start + phone.end) / 2 for phone in phones if is_bilabial(phone.label)]
    return frames | _marked(middles, len(closure))


def _marked(times: list[float], frames: int) -> Tensor:
    marks = torch.zeros(frames, dtype=torch.bool)
    marks[[min(int(time * FPS), frames - 1) for time in times]] = True
    return marks
