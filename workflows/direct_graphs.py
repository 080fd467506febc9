"""Workflows that direct a performance: look at it, choose, change, fix and keep it before it is rendered."""

from __future__ import annotations

from collections.abc import Callable

from canvas import Graph
from graphs import OWN, plot, sample, stage, video


def direct_the_performance() -> Graph:
    s = stage(
        "Direct the performance",
        "A motion is changed before a single frame is drawn. **Expression Edit** has the sliders of a face, each over a"
        " range of time; after a run, moving a slider redraws a frame on the node. **Gaze** looks into the camera;"
        " **Blinks** and **Lips** do as told; **Pose Procedural** moves the head, **Limit Pose** holds it back."
        f" The curves show what happens.\n\n{OWN}",
    )
    g = s.graph
    smiling = g.add(
        "PlaymateExpressionEdit",
        3,
        motion=sample(s, pose_amplitude=0.3),
        portrait=s.portrait,
        face_model=s.face,
        smile=0.7,
        eyebrow=6.0,
        when="0:01 - 0:02.5, 75f -",
        fade_in=0.3,
        fade_out=0.4,
    )
    lips = g.add("PlaymateLips", 3, motion=smiling, speech=s.speech, gain=1.1, silence=0.05, end=0.2)
    idle = g.add("PlaymatePoseProcedural", 4, portrait=s.portrait, speech=s.speech, move="idle")
    nods = g.add("PlaymatePoseProcedural", 4, "Nods on top", speech=s.speech, pose=idle, move="nod_on_stresses")
    moved = g.add("PlaymateApplyPose", 4, motion=lips, pose=nods)
    held = g.add("PlaymatePoseLimits", 5, motion=moved, pitch=12.0, yaw=15.0, roll=10.0)
    blinking = g.add("PlaymateBlinks", 5, motion=held, per_minute=20.0)
    looking = g.add("PlaymateGaze", 5, motion=blinking)
    video(s, looking, 6)
    plot(s, looking, 6)
    return g


def choose_a_take() -> Graph:
    s = stage(
        "Choose a take",
        "**Takes** samples the speech three times; **Contact Sheet** shows frames of each. **Pick Take**"
        " chooses, **Region Mix** lends the lips of one to the head of another. **Motion Report** measures,"
        f" **Compare Motions** says how far it is from the take. **Source Doctor** examines the portrait.\n\n{OWN}",
    )
    g = s.graph
    portrait, _ = g.add("PlaymateSourceDoctor", 1, face_model=s.face, portrait=s.portrait)
    who = {"motion_model": s.motion, "portrait": portrait, "speech": s.speech}
    takes = g.add("PlaymateTakes", 2, **who, count=3)
    moods = g.add("PlaymateTakes", 2, "All eight emotions", **who, vary="emotions")
    for shown, title, columns in ((takes, "Three takes", 4), (moods, "Eight emotions", 2)):
        drawn = {"face_model": s.face, "portrait": portrait, "columns": columns, "tile": 160}
        sheet = g.add("PlaymateContactSheet", 3, title, takes=shown, **drawn)
        g.add("PreviewImage", 4, title, images=sheet)
    head, _ = g.add("PlaymatePickTake", 3, "The head of take 1", takes=takes, number=1)
    lips, _ = g.add("PlaymatePickTake", 3, "The lips of take 2", takes=takes, number=2)
    mixed = g.add("PlaymateRegionMix", 4, first=head, second=lips, lips="1", brows="0:0, 2:1")
    g.add("PlaymateCompareMotions", 5, first=head, second=mixed)
    _, curves = g.add("PlaymateMotionReport", 5, motion=mixed, speech=s.speech)
    g.add("PreviewImage", 6, "Silences and jumps marked", images=curves)
    video(s, mixed, 6)
    return g


def fix_and_keep() -> Graph:
    s = stage(
        "Fix and keep",
        "**Retime Motion** keeps a part, reverses, loops or changes the pace; **Join Motions** plays one after the"
        " other with a cross-fade; **Resample Motion** samples a range again, here around the join, or varies a motion"
        " with a strength below 1; **Smooth Motion** calms the head and leaves the lips alone."
        f" **Export Motion** writes a table for Blender, Unreal or a spreadsheet.\n\n{OWN}",
    )
    g = s.graph
    first = sample(s)
    who = {"motion_model": s.motion, "portrait": s.portrait, "speech": s.speech}
    varied = g.add(
        "PlaymateResampleMotion", 2, "A variation of the first take", **who, motion=first, strength=0.4, seed=4
    )
    begin = g.add("PlaymateRetimeMotion", 3, "Its first frames", motion=first, keep="0 - 8f")
    rest = g.add("PlaymateRetimeMotion", 3, "The rest of another take", motion=varied, keep="6f -")
    joined = g.add("PlaymateJoinMotions", 4, first=begin, second=rest, fade=0.08)
    again = g.add(
        "PlaymateResampleMotion", 5, "The join, sampled again", **who, motion=joined, when="4f - 14f", strength=0.8
    )
    calm = g.add("PlaymateSmoothMotion", 5, motion=again, head=20.0)
    kept = g.add("PlaymateExportMotion", 6, motion=calm)
    plot(s, calm, 6)
    video(s, kept, 6)
    return g


def emotion_from_subtitles() -> Graph:
    s = stage(
        "Emotion from subtitles",
        "**Emotion From Subtitles** reads tags such as [happy] in SubRip, WebVTT or LRC text; **Emotion Over Time**"
        " lets the intensity follow the voice's loudness. Newer versions of ComfyUI have a **Curve Editor**, whose"
        " curves **Emotion Over Time** and **Pose From Curves** take instead, and a **MediaPipe Face Landmarker**,"
        f" whose blend shapes **Motion From Landmarks** carries over to the portrait.\n\n{OWN}",
    )
    g = s.graph
    tagged = g.add("PlaymateEmotionFromSubtitles", 1)
    mood = g.add("PlaymateEmotionOverTime", 2, emotion=tagged, speech=s.speech)
    pose = g.add("PlaymatePoseFromCurves", 2, portrait=s.portrait, seconds=4.0)
    motion = g.add(
        "PlaymateApplyPose", 3, motion=sample(s, emotion=mood, lock_pose=True), pose=pose, mode="add", strength=0.0
    )
    g.add("PlaymateMotionFromLandmarks", 3, portrait=s.portrait)
    video(s, motion, 4)
    plot(s, motion, 4)
    return g


DIRECTING: dict[str, Callable[[], Graph]] = {
    draw.__name__: draw for draw in (direct_the_performance, choose_a_take, fix_and_keep, emotion_from_subtitles)
}
