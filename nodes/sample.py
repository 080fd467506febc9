"""From speech to motion: the paper's diffusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from comfy_api.latest import io

from ..playmate_core.diffusion.emotion_schedule import EmotionSchedule
from ..playmate_core.diffusion.generate import joined
from ..playmate_core.diffusion.model_controls import ModelControls
from ..playmate_core.diffusion.options import POSE_MEANS, STARTS, SamplingOptions, numbers
from ..playmate_core.diffusion.request import MotionGenerator
from ..playmate_core.diffusion.samplers import SAMPLERS
from ..playmate_core.motion.emotion_by import EmotionBy
from ..playmate_core.motion.plot import plot_motion
from ..playmate_core.pipelines.stages import sample_motion
from ..playmate_core.progress import Progress
from ..playmate_core.values import AudioFeatures, Motion, Portrait
from . import model_controls, sockets
from .guidance import curve_sockets, key_widgets, over_time
from .inputs import seed_input
from .runtime import Bar, MotionModel, explain_missing_package, loaded
from .widgets import verdict

DEFAULTS = SamplingOptions()
GUIDANCE: dict[str, Any] = {"min": 0.0, "max": 10.0, "step": 0.1}


class SampleMotion(io.ComfyNode):
    """Generate motion from speech, emotion and a seed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return sockets.schema(
            "SampleMotion",
            "Sample Motion",
            "motion",
            ["generate motion", "sampler", "diffusion", "audio to motion", "lip sync"],
            description="Makes the motion of a face that speaks: lips, eyes, expression and head, 25 frames a second,"
            " for speech of any length.",
            inputs=[*_sockets(), *_widgets()],
            outputs=[sockets.Motion.Output(display_name="motion", tooltip="Ready to edit, plot or render.")],
        )

    @classmethod
    def validate_inputs(cls, sampler: str) -> str | bool:
        return verdict(lambda name: SamplingOptions(sampler=name), sampler)

    @classmethod
    @explain_missing_package
    def execute(
        cls,
        motion_model: MotionModel,
        portrait: Portrait,
        speech: AudioFeatures,
        emotion: EmotionSchedule | None = None,
        previous: Motion | None = None,
        as_published: bool = True,
        emotion_by: str = EmotionBy.BOTH.value,
        **options: Any,
    ) -> io.NodeOutput:
        names = [put.id for put in model_controls.sampling_widgets() if put.id in options]
        controls = model_controls.chosen(**{name: options.pop(name) for name in names})
        options = over_time(options, speech)
        task = Task(portrait, speech, emotion, SamplingOptions(**options), previous, as_published, emotion_by, controls)
        return io.NodeOutput(sampled(motion_model, task, Bar()))


@dataclass(frozen=True)
class Task:
    """What to sample: portrait, speech features, emotion (EmotionSchedule or None), options, preceding motion."""

    portrait: Portrait
    speech: AudioFeatures
    emotion: EmotionSchedule | None = None
    options: SamplingOptions = DEFAULTS
    previous: Motion | None = None
    published: bool = True
    emotion_by: str = EmotionBy.BOTH.value
    controls: ModelControls = ModelControls()


def as_published(generator: MotionGenerator, options: SamplingOptions) -> SamplingOptions:
    """The sampler, steps and guidance that the generator was published with; all other options as given."""
    if not generator.sampling_is_published:
        return options
    kept = {name: getattr(options, name) for name in ("seed", "pose_amplitude", "pose_mean", "start")}
    return replace(generator.defaults, **kept)


def sampled(models: MotionModel, task: Task, bar: Bar, begin: float = 0.0, end: float = 1.0) -> Motion:
    """Generate window by window; each window's curves are shown on the node."""
    pieces = list[Motion]()
    with loaded(*models.parts):
        for piece in sampled_pieces(models, task, bar.part(begin, end)):
            pieces.append(piece)
            bar.show(plot_motion(joined(pieces), width=512, height=384))
    return joined(pieces)


def sampled_pieces(models: MotionModel, task: Task, step: Progress | None = None) -> Iterator[Motion]:
    """The motion window by window, each sampled when it is asked for, while the models are on their device."""
    generator = models.generator.controlled(task.controls)
    options = as_published(generator, task.options) if task.published else task.options
    who, speech, by = task.portrait, task.speech, EmotionBy(task.emotion_by)
    return sample_motion(generator, who, speech, task.emotion, options, task.previous, by, step)


def _sockets() -> list[Any]:
    return [
        sockets.MotionModel.Input("motion_model", tooltip="From Load Motion Model."),
        sockets.Portrait.Input("portrait", tooltip="Whose face speaks, from Encode Portrait."),
        sockets.Audio.Input("speech", tooltip="From Encode Audio."),
        sockets.Emotion.Input(
            "emotion", optional=True, tooltip="What the face feels; nothing connected leaves it to the voice."
        ),
        sockets.Motion.Input("previous", optional=True, tooltip="A motion to go on from, without a jump."),
        *curve_sockets(),
    ]


def _widgets() -> list[Any]:
    return [
        *_sampling_widgets(),
        *_head_widgets(),
        *_generator_widgets(),
        *model_controls.sampling_widgets(),
        *key_widgets(),
        io.Float.Input(
            "eye_movement",
            default=DEFAULTS.eye_movement,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="Share of the blinks and looks up and down that are added to those of the bundled network, which"
            " has too few; 0: none. Other generators have none added.",
            optional=True,
            **sockets.advanced(io.Float.Input),
        ),
    ]


def _sampling_widgets() -> list[Any]:
    return [
        seed_input("Another seed, another performance. The same seed gives the same motion on every machine."),
        io.Int.Input(
            "steps",
            default=DEFAULTS.steps,
            min=1,
            max=1000,
            tooltip="Steps of the diffusion. The fewest with which dpm++2m stays within 1 % of all steps of the model's"
            " schedule are 25 (Playmate), 31 (JoyVASA) and 38 (Ditto). Measured on an ideal denoiser, not on trained"
            " weights.",
        ),
        sockets.Choice(
            "sampler",
            options=list(SAMPLERS),
            default=DEFAULTS.sampler,
            tooltip="How noise becomes motion. dpm++2m needs the fewest steps.",
        ),
        io.Float.Input(
            "cfg_audio",
            default=numbers(DEFAULTS.cfg_audio)[0],
            **GUIDANCE,
            tooltip="How strictly lips and expression follow the voice (w_a).",
        ),
        io.Float.Input(
            "cfg_emotion",
            default=numbers(DEFAULTS.cfg_emotion)[0],
            **GUIDANCE,
            tooltip="How strongly the emotion shows (w_e). Above 2.5 the lips begin to suffer.",
        ),
    ]


def _head_widgets() -> list[Any]:
    return [
        io.Float.Input(
            "pose_amplitude",
            default=numbers(DEFAULTS.pose_amplitude)[0],
            min=0.0,
            max=3.0,
            step=0.05,
            tooltip="How much the head moves: 0 holds it still, 1 is usual.",
        ),
        sockets.Choice(
            "pose_mean",
            options=list(POSE_MEANS),
            default=DEFAULTS.pose_mean,
            tooltip="Move around the portrait's own pose (source), or face the camera (frontal).",
            **sockets.advanced(io.Combo.Input),
        ),
        sockets.Choice(
            "start",
            options=list(STARTS),
            default=DEFAULTS.start,
            tooltip="Begin anywhere (free), or from the portrait's own face and pose (portrait).",
            **sockets.advanced(io.Combo.Input),
        ),
    ]


def _generator_widgets() -> list[Any]:
    return [
        sockets.Choice(
            "emotion_by",
            options=[by.value for by in EmotionBy],
            default=EmotionBy.BOTH.value,
            tooltip="Who shows the emotion: the motion model (if it has one of its own), the layer of expressions that"
            " is laid on any model's motion, or both.",
            **sockets.advanced(io.Combo.Input),
        ),
        io.Boolean.Input(
            "as_published",
            default=True,
            tooltip="JoyVASA and Ditto sample as they were published: their own sampler, steps and guidance. Switch it"
            " off to use the widgets above.",
            **sockets.advanced(io.Boolean.Input),
        ),
        io.Boolean.Input(
            "lock_pose",
            default=DEFAULTS.lock_pose,
            tooltip="Move the head exactly as without the emotion. Samples twice; Playmate's own model only.",
            **sockets.advanced(io.Boolean.Input),
        ),
    ]
