"""What the shipped workflows are; :mod:`build` writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from canvas import Graph

OWN = (
    "Runs as it is, on what comes with Playmate. **Choose your picture** in Picture and **your voice** in Voice, or"
    " drop the files on these nodes."
)
DRIVEN = OWN.replace(" and **your voice** in Voice", ", **your voice** in Voice and **your video** in Driving video")
SILENT = OWN.replace("**your voice** in Voice", "**your video** in Driving video")


@dataclass(frozen=True)
class Stage:
    """What nearly every graph begins with."""

    graph: Graph
    portrait: Any
    speech: Any
    audio: Any
    video: Any
    face: Any
    motion: Any


def pickers(g: Graph, picture: str = "Picture") -> tuple[Any, Any]:
    """Core's pickers of a picture and a voice, the demo files chosen: image and audio."""
    image, _ = g.add("LoadImage", 0, picture)
    return image, g.add("LoadAudio", 0, "Voice")


def stage(title: str, note: str, listens: bool = True, driven: bool = False, encoder: bool = False) -> Stage:
    """Pickers, models, the portrait and, unless nobody speaks, the speech; a driving video where it is used."""
    g = Graph(title, note)
    image, voice = pickers(g) if listens else (g.add("LoadImage", 0, "Picture")[0], None)
    video = g.add("LoadVideo", 0, "Driving video") if driven else None
    face = g.add("PlaymateLoadFaceModel", 0)
    crop, _ = g.add("PlaymateCropPortrait", 1, image=image)
    portrait = g.add("PlaymateEncodePortrait", 1, face_model=face, crop=crop)
    if not listens:
        return Stage(g, portrait, None, None, video, face, None)
    motion = g.add("PlaymateLoadMotionModel", 0)
    listener = {"audio_encoder": g.add("PlaymateLoadAudioEncoder", 0)} if encoder else {}
    speech, audio, _ = g.add("PlaymateEncodeAudio", 1, audio=voice, motion_model=motion, **listener)
    return Stage(g, portrait, speech, audio, video, face, motion)


def sample(s: Stage, **more: Any) -> Any:
    return s.graph.add("PlaymateSampleMotion", 2, motion_model=s.motion, portrait=s.portrait, speech=s.speech, **more)


def video(s: Stage, motion: Any, column: int = 4, **more: Any) -> Any:
    audio = {} if s.audio is None else {"audio": s.audio}
    return s.graph.add(
        "PlaymateRenderToVideo", column, face_model=s.face, portrait=s.portrait, motion=motion, **audio, **more
    )


def plot(s: Stage, motion: Any, column: int, title: str = "") -> None:
    image = s.graph.add("PlaymatePlotMotion", column, title, motion=motion, speech=s.speech)
    s.graph.add("PreviewImage", column + 1, images=image)


def talk() -> Graph:
    s = stage("Talk", f"A portrait and a voice become a video, stage by stage.\n\n{OWN}")
    emotion = s.graph.add("PlaymateEmotion", 1)
    motion = sample(s, emotion=emotion)
    video(s, motion, 3)
    plot(s, motion, 3)
    return s.graph


def talk_one_box() -> Graph:
    g = Graph("Talk in one box", f"Press Run. Choose an emotion, another seed, more or less head motion.\n\n{OWN}")
    picture, voice = pickers(g)
    g.add("PlaymateTalk", 1, image=picture, audio=voice)
    return g


def talk_as_an_app() -> Graph:
    g = Graph(
        "Talk as an app",
        "Press **App** above the canvas: a form of picture, voice, emotion, intensity, seed, head motion. **Choose"
        " your picture** in Picture and **your voice** in Voice, in the form or in the graph; the first ones come with"
        " Playmate.",
    )
    picture, voice = pickers(g)
    video, _ = g.add("PlaymateTalk", 1, image=picture, audio=voice, filename_prefix="video/Playmate_app")
    shown = ("emotion", "intensity", "seed", "head_motion", "paste_back")
    g.as_app([(picture, "image"), (voice, "audio"), *((video, widget) for widget in shown)], video)
    return g


def still_head_lips_only() -> Graph:
    s = stage(
        "Still head, lips only",
        f"**Motion Strength** keeps eyes and expression as in the picture; **Pose Static** holds the head.\n\n{OWN}",
    )
    lips = s.graph.add("PlaymateScaleMotion", 3, motion=sample(s), portrait=s.portrait, eyes=0.0, expression=0.0)
    pose = s.graph.add("PlaymatePoseStatic", 3, portrait=s.portrait)
    held = {"translation": True, "scale": True}  # not only the turns
    video(s, s.graph.add("PlaymateApplyPose", 4, motion=lips, pose=pose, **held), 5)
    return s.graph


def emotion_score() -> Graph:
    s = stage(
        "Emotion score",
        "**Emotion Schedule** is text: seconds, a colon, the emotion, @ and its intensity. **Emotion Blend** lays a"
        f" second emotion over all of it.\n\n{OWN}",
    )
    schedule = s.graph.add(
        "PlaymateEmotionSchedule", 1, schedule="0: neutral\n1.2: happy@0.8\n2.4: surprised\n3.8: sad@0.9"
    )
    contempt = s.graph.add("PlaymateEmotion", 1, emotion="contempt")
    mood = s.graph.add("PlaymateEmotionBlend", 1, first=schedule, second=contempt, blend=0.2)
    motion = sample(s, emotion=mood, lock_pose=True)
    video(s, motion, 3)
    plot(s, motion, 3)
    return s.graph


def pose_from_a_clip() -> Graph:
    s = stage(
        "Pose from a clip",
        f"The head follows a video, the face follows the voice. **Preview Keypoints** shows it at once.\n\n{DRIVEN}",
        driven=True,
    )
    pose = s.graph.add("PlaymatePoseFromVideo", 2, face_model=s.face, video=s.video, portrait=s.portrait)
    motion = s.graph.add("PlaymateApplyPose", 3, motion=sample(s), pose=pose)
    dots = s.graph.add("PlaymatePreviewKeypoints", 4, portrait=s.portrait, motion=motion)
    s.graph.add("PreviewImage", 5, images=dots)
    video(s, motion, 4)
    return s.graph


def swap_the_pose_source() -> Graph:
    s = stage(
        "Swap the pose source",
        "Four sources of head pose end in one place. **Pose Switch** passes one on: 1 a video, 2 keyframes, 3"
        " a picture (here of **Demo Media**; take another **Load Image** for your own), 4 a motion file. The others are"
        f" not even computed.\n\n{DRIVEN}",
        driven=True,
    )
    g = s.graph
    head, _, _ = g.add("PlaymateDemoMedia", 0, "A head for pose 3 (demo)")
    poses = {
        "pose_1": g.add("PlaymatePoseFromVideo", 2, face_model=s.face, video=s.video, portrait=s.portrait),
        "pose_2": g.add("PlaymatePoseKeyframes", 2, portrait=s.portrait),
        "pose_3": g.add("PlaymatePoseFromImage", 2, face_model=s.face, image=head),
        "pose_4": g.add("PlaymatePoseFromMotion", 2, motion=g.add("PlaymateLoadMotion", 0)),
    }
    chosen = g.add("PlaymatePoseSwitch", 3, choice=2, **poses)
    video(s, g.add("PlaymateApplyPose", 4, motion=sample(s), pose=chosen), 5)
    return g


def video_driven() -> Graph:
    s = stage(
        "Video driven",
        "No audio: the portrait does what the video shows, head and face. **Save Motion** keeps the motion for later,"
        f" to be read by **Load Motion**.\n\n{SILENT}",
        listens=False,
        driven=True,
    )
    motion = s.graph.add("PlaymateMotionFromVideo", 2, face_model=s.face, video=s.video, portrait=s.portrait)
    kept = s.graph.add("PlaymateSaveMotion", 3, motion=motion)
    video(s, kept, 3)
    return s.graph


def long_speech_to_file() -> Graph:
    s = stage(
        "Long speech to a file",
        "**Render To Video** writes frame by frame; an hour takes no more memory than a second. Start and duration of"
        f" **Encode Audio** choose a part.\n\n{OWN}",
        encoder=True,
    )
    video(s, sample(s), 3, filename_prefix="video/Playmate_long")
    return s.graph


def paste_back() -> Graph:
    g = Graph(
        "Paste back into a large picture",
        "A small face in a wide picture: a mask says where it is, and the moving face is put back without a seam."
        f" **Render To Video** can do the same with its switch.\n\n{OWN}",
    )
    picture, voice = pickers(g)
    wide, around = g.add("ImagePadForOutpaint", 0, image=picture, left=384, right=384, top=64, bottom=64, feathering=0)
    mask = g.add("InvertMask", 0, mask=around)
    face = g.add("PlaymateLoadFaceModel", 0)
    motions = g.add("PlaymateLoadMotionModel", 0)
    crop, cut = g.add("PlaymateCropPortrait", 1, image=wide, mask=mask, scale=1.0, shift=0.0)
    g.add("PreviewImage", 2, "What was cropped", images=cut)
    portrait = g.add("PlaymateEncodePortrait", 1, face_model=face, crop=crop)
    speech, audio, _ = g.add("PlaymateEncodeAudio", 1, audio=voice, motion_model=motions, duration=2.0)
    motion = g.add("PlaymateSampleMotion", 2, motion_model=motions, portrait=portrait, speech=speech)
    images, fps = g.add("PlaymateRender", 3, face_model=face, portrait=portrait, motion=motion)
    whole, _ = g.add("PlaymatePasteBack", 4, portrait=portrait, images=images)
    g.add(
        "SaveVideo",
        5,
        video=g.add("CreateVideo", 4, images=whole, audio=audio, fps=fps),
        filename_prefix="video/Playmate_pasted",
    )
    return g


def compare_seeds() -> Graph:
    s = stage(
        "Compare seeds",
        "Two takes of the same speech. The curves show how they differ before a single frame is drawn; **Pose From"
        f" Motion** lends the head of the second to the face of the first.\n\n{OWN}",
    )
    first, second = sample(s, seed=1), sample(s, seed=2)
    plot(s, first, 3, "Seed 1")
    plot(s, second, 3, "Seed 2")
    pose = s.graph.add("PlaymatePoseFromMotion", 3, motion=second)
    video(s, s.graph.add("PlaymateApplyPose", 4, motion=first, pose=pose), 5)
    return s.graph


GRAPHS: dict[str, Callable[[], Graph]] = {
    draw.__name__: draw
    for draw in (
        talk,
        talk_one_box,
        talk_as_an_app,
        still_head_lips_only,
        emotion_score,
        pose_from_a_clip,
        swap_the_pose_source,
        video_driven,
        long_speech_to_file,
        paste_back,
        compare_seeds,
    )
}
