"""Workflows with somebody's video as the portrait, and with several faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canvas import Graph
from graphs import OWN

DUBBED = OWN.replace("**Choose your picture** in Picture", "**Choose your video** in Source video")
TALKING = f"{OWN} The voice is a recording of two, one left and one right."
SILENT = OWN.replace("**your voice** in Voice", "**your video** in Driving video")


def dub_a_video() -> Graph:
    g = Graph(
        "Dub a video",
        "The lips of the video follow your voice; every bit of the rest of the motion stays the video's. **Motion Over"
        " Video** can replace the face or everything instead; *fit* of **Encode Video Portrait** says what the video"
        f" does when the voice is longer. The frames go straight back into the video.\n\n{DUBBED}",
    )
    film, voice = g.add("LoadVideo", 0, "Source video"), g.add("LoadAudio", 0, "Voice")
    face, models = g.add("PlaymateLoadFaceModel", 0), g.add("PlaymateLoadMotionModel", 0)
    portrait, _ = g.add("PlaymateEncodeVideoPortrait", 1, face_model=face, video=film)
    speech, audio, _ = g.add("PlaymateEncodeAudio", 1, audio=voice, motion_model=models)
    motion = g.add("PlaymateSampleMotion", 2, motion_model=models, portrait=portrait, speech=speech)
    dubbed = g.add("PlaymateMotionOverVideo", 3, portrait=portrait, motion=motion)
    g.add(
        "PlaymateRenderToVideo",
        4,
        face_model=face,
        portrait=portrait,
        motion=dubbed,
        audio=audio,
        paste_back=True,
        filename_prefix="video/Playmate_dubbed",
    )
    return g


def _render(g: Graph, face: Any, portraits: list[Any], models: Any, voice: Any, **more: str) -> None:
    """Two who speak in turns, in one video."""
    motions = _turns(g, portraits, models, voice)
    shown = {f"portrait_{number}": portrait for number, portrait in enumerate(portraits, start=1)}
    shown |= {f"motion_{number}": motion for number, motion in enumerate(motions, start=1)}
    g.add("PlaymateRenderFacesToVideo", 5, face_model=face, audio=voice, **shown, **more)


def _turns(g: Graph, portraits: list[Any], models: Any, voice: Any) -> list[Any]:
    """The motions of two who speak in turn: each from its own channel, listening to the other."""
    channels = g.add("SplitAudioChannels", 1, audio=voice)
    heard = [
        g.add("PlaymateEncodeAudio", 2, f"Channel {number}", audio=channel, motion_model=models)[0]
        for number, channel in enumerate(channels, start=1)
    ]
    motions = []
    for number, (portrait, speech) in enumerate(zip(portraits, heard, strict=True), start=1):
        motion = g.add(
            "PlaymateSampleMotion",
            3,
            f"Speaker {number}",
            motion_model=models,
            portrait=portrait,
            speech=speech,
            seed=number,
        )
        other = heard[2 - number]
        motions.append(
            g.add("PlaymateListener", 4, f"Listener {number}", motion=motion, speech=speech, other=other, seed=number)
        )
    return motions


def dialogue() -> Graph:
    g = Graph(
        "Dialogue",
        "Two portraits and a recording of two: each speaks in its own channel, and keeps the lips closed and nods while"
        f" the other speaks. The other portrait is chosen in Picture of the other.\n\n{TALKING}",
    )
    first, _ = g.add("LoadImage", 0, "Picture")
    second, _ = g.add("LoadImage", 0, "Picture of the other")
    voice = g.add("LoadAudio", 0, "Voice", audio="playmate_dialogue.wav")
    face, models = g.add("PlaymateLoadFaceModel", 0), g.add("PlaymateLoadMotionModel", 0)
    portraits = []
    for number, image in enumerate((first, second), start=1):
        crop, _ = g.add("PlaymateCropPortrait", 1, f"Crop {number}", image=image)
        portraits.append(g.add("PlaymateEncodePortrait", 2, f"Portrait {number}", face_model=face, crop=crop))
    _render(g, face, portraits, models, voice, arrange="row", filename_prefix="video/Playmate_dialogue")
    return g


def two_faces_in_one_picture() -> Graph:
    g = Graph(
        "Two faces in one picture",
        "One picture that shows two, each with its own voice, both moving in it. The picture is stitched of one here,"
        " and masks say where the faces are; with a picture of your own connect it to both **Crop Portrait**, without"
        " masks, and choose *index* 0 and 1, or paint a mask over each face. Portraits of a video from **Encode Video"
        f" Portrait** work the same way.\n\n{TALKING}",
    )
    picture, _ = g.add("LoadImage", 0, "Picture")
    voice = g.add("LoadAudio", 0, "Voice", audio="playmate_dialogue.wav")
    face, models = g.add("PlaymateLoadFaceModel", 0), g.add("PlaymateLoadMotionModel", 0)
    both = g.add("ImageStitch", 1, "Both in one picture", image1=picture, image2=picture)
    width, _, _ = g.add("GetImageSize", 1, image=picture)
    portraits = []
    for number, side in enumerate(("right", "left"), start=1):
        _, around = g.add(
            "ImagePadForOutpaint", 2, f"Where face {number} is", image=picture, **{side: width}, feathering=0
        )
        mask = g.add("InvertMask", 2, f"Mask {number}", mask=around)
        crop, _ = g.add("PlaymateCropPortrait", 3, f"Crop {number}", image=both, mask=mask, scale=1.0, shift=0.0)
        portraits.append(g.add("PlaymateEncodePortrait", 4, f"Portrait {number}", face_model=face, crop=crop))
    _render(g, face, portraits, models, voice, filename_prefix="video/Playmate_two_faces")
    return g


def one_motion_many_portraits() -> Graph:
    g = Graph(
        "One motion, many portraits",
        "Every picture of a batch does what the video shows, each in a video of its own: **Rebatch Images** hands them"
        " on one by one, and all nodes behind it run once for each. Any node that gives a batch of pictures may come"
        f" before it.\n\n{SILENT}",
    )
    first, _ = g.add("LoadImage", 0, "Picture")
    flipped = g.add("ImageFlip", 1, "A second picture", image=first, flip_method="y-axis: horizontally")
    pictures = g.add("ImageBatch", 1, "All pictures", image1=first, image2=flipped)
    film, face = g.add("LoadVideo", 0, "Driving video"), g.add("PlaymateLoadFaceModel", 0)
    one = g.add("RebatchImages", 2, "One by one", images=pictures, batch_size=1)
    crop, _ = g.add("PlaymateCropPortrait", 3, image=one)
    portrait = g.add("PlaymateEncodePortrait", 3, face_model=face, crop=crop)
    motion = g.add("PlaymateMotionFromVideo", 4, face_model=face, video=film, portrait=portrait)
    g.add(
        "PlaymateRenderToVideo",
        5,
        face_model=face,
        portrait=portrait,
        motion=motion,
        filename_prefix="video/Playmate_many",
    )
    return g


SEVERAL: dict[str, Callable[[], Graph]] = {
    draw.__name__: draw for draw in (dub_a_video, dialogue, two_faces_in_one_picture, one_motion_many_portraits)
}
