"""The node pack: thin adapters between ComfyUI and the core, one file for each kind of work."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import (
    demo,
    direct,
    emotion,
    emotion_cues,
    export,
    files,
    fix,
    landmarks,
    live_edit,
    load,
    look,
    motion,
    motion_files,
    portrait,
    pose,
    pose_moves,
    pose_sources,
    render,
    resample,
    runtime,
    sample,
    several,
    speech,
    takes,
    talk,
    video_portrait,
    widgets,
)

_CLASSES: tuple[type[io.ComfyNode], ...] = (
    talk.Talk,
    load.LoadFaceModel,
    load.LoadMotionModel,
    load.LoadAudioEncoder,
    portrait.CropPortrait,
    portrait.EncodePortrait,
    speech.EncodeAudio,
    emotion.Emotion,
    emotion.EmotionBlend,
    emotion.EmotionSchedule,
    sample.SampleMotion,
    pose_sources.PoseFromVideo,
    pose_sources.PoseFromImage,
    pose_sources.PoseStatic,
    pose_sources.PoseKeyframes,
    pose_sources.PoseFromMotion,
    pose.PoseSwitch,
    pose.ApplyPose,
    motion.MotionFromVideo,
    motion.ScaleMotion,
    motion_files.SaveMotion,
    motion_files.LoadMotion,
    motion.PlotMotion,
    motion.PreviewKeypoints,
    render.Render,
    render.RenderToVideo,
    render.PasteBack,
    demo.DemoMedia,
    look.SourceDoctor,
    look.ContactSheet,
    look.MotionReport,
    takes.Takes,
    takes.PickTake,
    takes.RegionMix,
    takes.CompareMotions,
    direct.ExpressionEdit,
    direct.Gaze,
    direct.Blinks,
    direct.Lips,
    direct.PoseLimits,
    pose_moves.PoseProcedural,
    pose_moves.PoseFromCurves,
    fix.RetimeMotion,
    fix.JoinMotions,
    fix.SmoothMotion,
    resample.ResampleMotion,
    export.ExportMotion,
    emotion_cues.EmotionFromSubtitles,
    emotion_cues.EmotionOverTime,
    landmarks.MotionFromLandmarks,
    video_portrait.EncodeVideoPortrait,
    video_portrait.MotionOverVideo,
    several.Listener,
    several.RenderFacesToVideo,
)
#: All of them judge what arrives at their widgets by a link as they judge what is typed there.
NODES = tuple(map(widgets.checked, _CLASSES))


class PlaymateExtension(ComfyExtension):
    """ComfyUI's entry point for V3 nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)


async def comfy_entrypoint() -> PlaymateExtension:
    """Called once by ComfyUI. Registers the model folders, of which it makes none; offers the demo's input files."""
    files.register()
    runtime.set_host_hooks()
    demo.offer_inputs()
    live_edit.add_route()
    return PlaymateExtension()
