"""Workflows that need LivePortrait's weights and JoyVASA's or Ditto's: a photograph that talks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canvas import GENERATORS_NOTE, Graph
from graphs import Stage, pickers, plot, video

from playmate_core.weights.catalogue import DITTO_MODEL, JOYVASA_MODEL, LIVEPORTRAIT_HUMAN

#: The files that stand for LivePortrait's, JoyVASA's and Ditto's weights in the loaders.
PHOTO_FACE, JOYVASA_FILE, DITTO_FILE = LIVEPORTRAIT_HUMAN.files[0].name, JOYVASA_MODEL.name, DITTO_MODEL.name


def _photograph(title: str, note: str) -> tuple[Graph, Any, Any, Any]:
    """A picture and a voice of one's own, and LivePortrait's face model: the graph, voice, face model and portrait."""
    g = Graph(title, f"{note}\n\n{GENERATORS_NOTE}")
    picture, voice = pickers(g, "Photograph")
    face = g.add("PlaymateLoadFaceModel", 0, file=PHOTO_FACE)
    crop, _ = g.add("PlaymateCropPortrait", 1, image=picture)
    return g, voice, face, g.add("PlaymateEncodePortrait", 1, face_model=face, crop=crop)


def talk_on_a_photograph() -> Graph:
    g, voice, face, portrait = _photograph(
        "Talk on a photograph",
        "**Choose your picture** in Photograph and **your voice** in Voice. **Load Motion Model** is the switch:"
        " JoyVASA's file, Ditto's file or the bundled demo, of which a photograph takes only the head movement. The"
        " right audio encoder follows the choice by itself. A model without emotions gets them from the expression"
        " layer.",
    )
    models = g.add("PlaymateLoadMotionModel", 0, "JoyVASA, Ditto or the demo", file=JOYVASA_FILE)
    speech, audio, _ = g.add("PlaymateEncodeAudio", 1, audio=voice, motion_model=models)
    emotion = g.add("PlaymateEmotion", 1, emotion="happy", intensity=0.6)
    motion = g.add("PlaymateSampleMotion", 2, motion_model=models, portrait=portrait, speech=speech, emotion=emotion)
    video(Stage(g, portrait, speech, audio, None, face, models), motion, 3, paste_back=True)
    plot(Stage(g, portrait, speech, audio, None, face, models), motion, 3)
    return g


def two_models_side_by_side() -> Graph:
    g, voice, face, portrait = _photograph(
        "Two models side by side",
        "One photograph and one voice, spoken by JoyVASA on the left and by Ditto on the right: their curves first,"
        " then both in one video. **Choose your picture** in Photograph and **your voice** in Voice.",
    )
    emotion = g.add("PlaymateEmotion", 1, emotion="happy", intensity=0.6)
    takes, sound, rate = [], None, None
    for name, file in (("JoyVASA", JOYVASA_FILE), ("Ditto", DITTO_FILE)):
        models = g.add("PlaymateLoadMotionModel", 0, name, file=file)
        speech, sound, _ = g.add("PlaymateEncodeAudio", 1, f"Heard by {name}", audio=voice, motion_model=models)
        motion = g.add(
            "PlaymateSampleMotion",
            2,
            f"Take of {name}",
            motion_model=models,
            portrait=portrait,
            speech=speech,
            emotion=emotion,
        )
        plot(Stage(g, portrait, speech, sound, None, face, models), motion, 3, name)
        images, rate = g.add(
            "PlaymateRender", 3, f"Drawn with {name}", face_model=face, portrait=portrait, motion=motion
        )
        takes.append(images)
    both = g.add("ImageStitch", 4, "Side by side", image1=takes[0], image2=takes[1])
    video = g.add("CreateVideo", 4, images=both, audio=sound, fps=rate)
    g.add("SaveVideo", 5, video=video, filename_prefix="video/Playmate_two_models")
    return g


PHOTOGRAPHS: dict[str, Callable[[], Graph]] = {
    draw.__name__: draw for draw in (talk_on_a_photograph, two_models_side_by_side)
}
