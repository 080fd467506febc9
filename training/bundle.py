"""``python -m training bundle``: put into the package what its demo needs, a portrait, a voice and the weights."""

from __future__ import annotations

import io
import json
import logging
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save as serialize

import playmate_core
from playmate_core.atomic_file import write_atomically
from playmate_core.errors import UserError
from playmate_core.speech import SAMPLE_RATE
from playmate_core.weights import files as weights
from training.config import parse
from training.facts import portable
from training.synthetic.identity import make_identity
from training.synthetic.pixels import make_scene, render
from training.synthetic.rig import RIG
from training.synthetic.sessions import FIRST_IDENTITY
from training.synthetic.speech import VOICES, synthesise_speech

logger = logging.getLogger(__name__)

#: All bundled files together; a clone should stay quick.
LIMIT_MB = 40.0
MODELS = ("face", "motion", "emotion")
#: What the bundled voice says, sentence by sentence; every second word makes the lips meet.
SENTENCES = ("Hello, my name is Poppy.", "Give me a voice and a mood, and maybe I become somebody you believe.")
LEAD, PAUSE, TAIL = 0.3, 0.55, 0.5  # seconds of room tone before, between and after them
LOUDNESS, ROOM_TONE = 0.08, 1e-4  # RMS; a microphone never gives digital silence
#: Where the heads of the bundle are in their pictures, and how large.
HEAD_TRANSLATION, HEAD_SCALE = (0.0, 0.02, 0.0), 1.4
#: Pitch, yaw, roll in degrees of the portrait; every smile starts small.
ROTATION, SMILE = (0.0, -6.0, 1.5), 0.3


@dataclass(frozen=True)
class BundleConfig:
    """What to bundle. Empty model paths keep what is there; an empty ``out`` is the package itself.

    ``identity``, ``voice``: numbers among the people and the voices of the test split. ``scene``: seed of light and
    background.
    """

    out: str = ""
    identity: int = 18
    scene: int = 2_000_028
    size: int = 512
    voice: int = 1
    speech: str = "espeak"
    face: str = ""
    motion: str = ""
    emotion: str = ""


def draw_portrait(config: BundleConfig) -> bytes:
    """An identity outside the training data, near frontal, with the beginning of a smile: PNG."""
    rig = np.zeros(len(RIG))
    rig[[RIG.index("smile_left"), RIG.index("smile_right")]] = SMILE
    identity = make_identity(FIRST_IDENTITY["test"] + config.identity)
    picture = render(identity, make_scene(config.scene), rig, ROTATION, HEAD_TRANSLATION, HEAD_SCALE, config.size)
    return bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())


def record_speech(config: BundleConfig) -> bytes:
    """SENTENCES in a voice outside the training data: WAV, 16 kHz, mono, 16 bit."""
    if not 0 <= config.voice < len(VOICES["test"]):
        raise UserError(f"--voice is {config.voice}, expected 0 to {len(VOICES['test']) - 1}.")
    voice = VOICES["test"][config.voice]
    parts: list[NDArray[np.floating]] = [np.zeros(round(LEAD * SAMPLE_RATE))]
    for sentence in SENTENCES:
        parts += [synthesise_speech(sentence, voice, 0, config.speech).waveform, np.zeros(round(PAUSE * SAMPLE_RATE))]
    parts[-1] = np.zeros(round(TAIL * SAMPLE_RATE))
    sound = np.concatenate(parts)
    sound *= LOUDNESS / np.sqrt(np.mean(sound[sound != 0] ** 2))
    sound += ROOM_TONE * np.random.default_rng(0).standard_normal(len(sound))
    blob = io.BytesIO()
    with wave.open(blob, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(sound.clip(-0.99, 0.99) * 32767).astype("<i2").tobytes())
    return blob.getvalue()


def shipped(path: Path) -> bytes:
    """A model file as it is shipped: the same tensors; its training record names no folder of the training machine."""
    with safe_open(path, "pt") as file:
        facts = dict(file.metadata())
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    told = json.loads(facts["playmate.training"])
    if portable(told) == told:
        return path.read_bytes()
    return serialize(tensors, {**facts, "playmate.training": json.dumps(portable(told))})


def choose_models(config: BundleConfig, out: Path) -> dict[str, Path]:
    """The model files that will be there: those given, else those already bundled.

    Raises UserError unless each loads, and the emotion model belongs to the motion model.
    """
    chosen = {name: Path(getattr(config, name) or out / f"{name}.safetensors") for name in MODELS}
    chosen = {name: path for name, path in chosen.items() if getattr(config, name) or path.is_file()}
    if "face" in chosen:
        weights.load_face(chosen["face"])
    motion = weights.load_motion(chosen["motion"]) if "motion" in chosen else None
    if "emotion" in chosen:
        if motion is None:
            raise UserError("An emotion model needs the motion model it was trained on; give --motion as well.")
        weights.load_emotion(chosen["emotion"], motion)
    return chosen


def bundle(config: BundleConfig) -> Mapping[str, int]:
    """Check everything, then write every file whole -> bytes by file name.

    Raises UserError for models that do not fit each other, and above LIMIT_MB; then nothing has been written.
    """
    out = Path(config.out) if config.out else Path(playmate_core.__file__).parent / "bundled"
    models = choose_models(config, out)
    blobs = {"portrait.png": draw_portrait(config), "speech.wav": record_speech(config)}
    blobs.update({f"{name}.safetensors": shipped(path) for name, path in models.items()})
    total = sum(map(len, blobs.values())) / 1e6
    if total > LIMIT_MB:
        raise UserError(f"The bundle would take {total:.1f} MB, expected at most {LIMIT_MB:g}; give smaller models.")
    out.mkdir(parents=True, exist_ok=True)
    for name, blob in blobs.items():
        write_atomically(out / name, blob)
    return {name: len(blob) for name, blob in blobs.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Make the bundle and say what is in it."""
    config = parse(BundleConfig, argv, __doc__ or "")
    sizes = bundle(config)
    for name, size in sizes.items():
        logger.info("%8.3f MB  %s", size / 1e6, name)
    logger.info("%8.3f MB  in all, of %g", sum(sizes.values()) / 1e6, LIMIT_MB)
