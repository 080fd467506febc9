"""The bundled portrait, speech and driving video, so that every workflow runs without other files."""

from __future__ import annotations

import logging
import wave
from io import BytesIO
from pathlib import Path

import folder_paths
import numpy as np
from comfy_api.latest import io

from ..playmate_core.media.audio_files import Recording, read_sound
from ..playmate_core.media.images import read_picture
from ..playmate_core.weights.folders import bundled
from . import sockets
from .media import to_audio, to_image, to_video
from .runtime import explain_missing_package

logger = logging.getLogger(__name__)

#: Name among ComfyUI's input files, where Load Image, Load Audio and Load Video look, -> the bundled file.
INPUTS = {
    "playmate_portrait.png": "portrait.png",
    "playmate_speech.wav": "speech.wav",
    "playmate_driving.mp4": "driving.mp4",
}


#: A recording of two who speak in turn, one in each channel: the bundled speech, cut at its pause after this second.
DIALOGUE, PAUSE = "playmate_dialogue.wav", 1.7


def offer_inputs() -> None:
    """Copy picture, voice, dialogue and driving video among ComfyUI's input files, so that a workflow with pickers runs
    at once.

    A file that is there already is left alone.
    """
    for name in (*INPUTS, DIALOGUE):
        path = Path(folder_paths.get_input_directory()) / name
        try:
            if not path.exists():
                path.write_bytes(_dialogue() if name == DIALOGUE else bundled(INPUTS[name]).read_bytes())
        except OSError as problem:
            logger.warning("The demo file %s could not be put among the input files: %s", name, problem)


def _dialogue() -> bytes:
    """The bundled speech as a stereo WAV file: its beginning left, the rest right."""
    made = BytesIO()
    with wave.open(str(bundled("speech.wav"))) as voice, wave.open(made, "wb") as file:
        samples = np.frombuffer(voice.readframes(voice.getnframes()), np.int16)
        channels = np.zeros((len(samples), 2), np.int16)
        cut = round(PAUSE * voice.getframerate())
        channels[:cut, 0], channels[cut:, 1] = samples[:cut], samples[cut:]
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(voice.getframerate())
        file.writeframes(channels.tobytes())
    return made.getvalue()


class DemoMedia(io.ComfyNode):
    """Example inputs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "DemoMedia",
            "Demo Media",
            "load",
            ["example", "sample portrait", "sample speech", "test video"],
            description="A drawn portrait, a synthetic voice and a video of a drawn head. Replace it by Load Image,"
            " Load Audio and Load Video when you have your own.",
            inputs=[
                sockets.Time(
                    "seconds", 0.0, 0.0, 60.0, "How much of the speech to give, for a quick try; 0 is all of it."
                )
            ],
            outputs=[
                io.Image.Output(display_name="portrait", tooltip="A drawn face, 512 x 512."),
                io.Audio.Output(display_name="speech", tooltip="Five seconds of a synthetic voice."),
                io.Video.Output(display_name="film", tooltip="Three seconds of another drawn head that looks around."),
            ],
        )

    @classmethod
    @explain_missing_package
    def execute(cls, seconds: float) -> io.NodeOutput:
        voice = read_sound(bundled("speech.wav"), rate=None)
        speech = Recording(voice.waveform[None], voice.rate).part(0.0, seconds)
        picture, video = read_picture(bundled("portrait.png")), to_video(str(bundled("driving.mp4")))
        return io.NodeOutput(to_image(picture), to_audio(speech), video)
