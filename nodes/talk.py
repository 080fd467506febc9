"""The whole pipeline as one node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..playmate_core.detection.paste_options import PasteOptions
from ..playmate_core.diffusion.emotion_schedule import EmotionSchedule
from ..playmate_core.diffusion.options import SamplingOptions
from ..playmate_core.media.audio_files import Recording
from ..playmate_core.media.transparency import Colour, read_colour
from ..playmate_core.media.video_options import VideoOptions
from ..playmate_core.motion.stream import MotionStream
from ..playmate_core.pipelines.stages import check_generator, fitted_pieces
from ..playmate_core.rendering.portrait import FaceLimits
from ..playmate_core.rendering.render import RenderOptions
from ..playmate_core.rendering.segments import RenderJob, VideoOutput, write_video
from ..playmate_core.rendering.source_image import read_source_portrait
from ..playmate_core.rendering.write_video import Composition
from ..playmate_core.values import FPS, Portrait, Pose
from ..playmate_core.weights.files import load_face
from ..playmate_core.weights.generator_file import Companions
from ..playmate_core.weights.generators import load_generator
from . import files, sockets
from .drawing import node_mark, recipe, render_job, saved_video
from .encoders import listen
from .encoding import composition, encoding_inputs, suffix_of
from .inputs import BACKGROUND, background_input, emotion_inputs, mark_input, prefix_input, seed_input
from .live_frame import LiveFrames
from .media import recording, transparent_picture
from .runtime import Bar, Managed, MotionModel, explain_missing_package, loaded, manage, renderer_dtype
from .sample import Task, sampled_pieces
from .saving import SavingNode, output_file

#: Where on the bar listening ends; the rest is sampling and drawing, window by window.
LISTENED = 0.02


class Talk(SavingNode):
    """Portrait and speech to a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "Talk",
            "Talk",
            "",
            ["talking head", "lip sync", "portrait animation", "avatar", "audio to video"],
            description="Makes a portrait talk: a picture, a voice and an emotion in, a video out. Everything it does"
            " is there as single nodes too.",
            inputs=[*_sockets(), *_widgets()],
            outputs=[
                io.Video.Output(display_name="video", tooltip="The talking portrait, also saved in the output folder."),
                sockets.Motion.Output(display_name="motion", tooltip="Its motion, to plot, edit or render again."),
            ],
            is_output_node=True,
        )

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        image: Tensor,
        audio: dict[str, Any],
        emotion: str,
        intensity: float,
        seed: int,
        head_motion: float,
        paste_back: bool,
        filename_prefix: str,
        require_face: bool,
        mark: bool = True,
        codec: str = "h264",
        video_fps: float = 0.0,
        ping_pong: bool = False,
        alpha: str = "auto",
        background: str = BACKGROUND,
        **wired: Any,
    ) -> io.NodeOutput:
        colour, encoding = read_colour(background), VideoOptions(codec=codec, ping_pong=ping_pong, alpha=alpha)
        sound, bar, rendering = recording(audio), Bar(LiveFrames()), RenderOptions()
        face, models = wired.get("face_model") or _bundled_face(), wired.get("motion_model") or _bundled_motion()
        portrait = _portrait(face, image, colour, require_face)
        shown = composition(portrait, paste_back, None, PasteOptions().feather, PasteOptions().shape, encoding)
        score, options = _score(wired, emotion, intensity), SamplingOptions(seed=seed, pose_amplitude=head_motion)
        told = {"emotion": score, "sampling": options, "rendering": rendering, "encoding": encoding}
        marked = node_mark(mark, paste_back, cls, {**told, "paste_back": paste_back, "connected": sorted(wired)})
        encoding = replace(encoding, tags=recipe(cls.hidden), mark=marked)
        with output_file(filename_prefix, suffix_of(codec), *shown.size(portrait)[::-1]) as (path, saved):
            encoding.check(path, video_fps or FPS)
            motion = _motion(models, portrait, sound, score, options, wired.get("pose"), bar)
            with _job(face, models, portrait, motion, video_fps, rendering, shown, bar) as job:
                write_video(job, VideoOutput(path, sound, encoding=encoding), bar.part(LISTENED, 1.0))
        return saved_video(path, saved, motion.whole())


def _score(wired: dict[str, Any], emotion: str, intensity: float) -> EmotionSchedule:
    return wired.get("emotion_score") or EmotionSchedule.constant(emotion, intensity)


def _portrait(model: Managed, image: Tensor, background: Colour, must_be_face: bool) -> Portrait:
    picture, transparency = transparent_picture(image, background)
    with loaded(model) as (face,):
        source = read_source_portrait(face, picture, limits=FaceLimits() if must_be_face else None)
    return replace(source.portrait, transparency=transparency)


def _motion(
    models: MotionModel,
    portrait: Portrait,
    sound: Recording,
    score: EmotionSchedule,
    options: SamplingOptions,
    pose: Pose | None,
    bar: Bar,
) -> MotionStream:
    """The motion of the speech, from the motion model's own audio encoder; a window is sampled when it is drawn."""
    check_generator(models.generator, portrait.keypoint_space)
    speech = listen(models.generator.encoder(), sound, bar.part(0.0, LISTENED))
    pieces = sampled_pieces(models, Task(portrait, speech, score, options))
    return MotionStream(fitted_pieces(pieces, pose, portrait.rest.pose, "bounce", len(speech)), len(speech), speech.fps)


@contextmanager
def _job(
    face: Managed,
    models: MotionModel,
    portrait: Portrait,
    motion: MotionStream,
    video_fps: float,
    rendering: RenderOptions,
    shown: Composition,
    bar: Bar,
) -> Iterator[RenderJob]:
    """The video, sampled while it is drawn; at ``video_fps`` unless that is 0."""
    shown_motion = motion.resampled(video_fps) if video_fps else motion
    with render_job(face, portrait, shown_motion, rendering, shown, bar, models.parts) as job:
        yield job


def _bundled_face() -> Managed:
    return manage(load_face(files.model_path("face", files.BUNDLED)).set_compute_dtype(renderer_dtype("auto")))


def _bundled_motion() -> MotionModel:
    upper = files.model_path("emotion", files.BUNDLED)
    return MotionModel.of(load_generator(files.model_path("motion", files.BUNDLED), Companions(emotion=upper)))


def _sockets() -> list[Any]:
    return [
        io.Image.Input("image", tooltip="One face, large and frontal; the square picture around a head works best."),
        io.Audio.Input("audio", tooltip="Speech in any language, of any length."),
        sockets.Face.Input("face_model", optional=True, tooltip="Another face model than the bundled demo."),
        sockets.MotionModel.Input("motion_model", optional=True, tooltip="Another motion model than the bundled demo."),
        sockets.Emotion.Input("emotion_score", optional=True, tooltip="A blend or schedule instead of one emotion."),
        sockets.Pose.Input("pose", optional=True, tooltip="Where the head goes, from any Pose node."),
    ]


def _widgets() -> list[Any]:
    return [
        *emotion_inputs(),
        seed_input("Another seed, another performance."),
        io.Float.Input(
            "head_motion",
            default=1.0,
            min=0.0,
            max=3.0,
            step=0.05,
            tooltip="How much the head moves: 0 holds it still.",
        ),
        io.Boolean.Input(
            "paste_back", default=False, tooltip="Show the whole picture instead of the square around the face."
        ),
        prefix_input(),
        io.Boolean.Input(
            "require_face",
            default=True,
            tooltip="Stop with a message if the picture shows no face. Switch it off for faces the model finds"
            " strange.",
            **sockets.advanced(io.Boolean.Input),
        ),
        mark_input(),
        *encoding_inputs(),
        background_input(),
    ]
