"""The dialogue pipeline: several portraits, or several faces of one picture or video, each with its own voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..detection.detect import Pick
from ..diffusion.request import MotionGenerator, joined
from ..errors import UserError
from ..face import FaceModel
from ..media.audio_track import AnySound
from ..media.output_file import OutputLock
from ..media.provenance import COMPOSITE, DRAWN
from ..media.voices import Voice, find_voices, mixed, require_different
from ..motion.listening import Listening, listening
from ..progress import Progress, StageProgress
from ..rendering.footage import VideoFile
from ..rendering.segments import VideoOutput, segments_folder, write_video
from ..rendering.several import Arrangement, MovingFace, faces_job
from ..rendering.source_image import read_source_portrait
from ..rendering.source_video import FaceVideoOptions
from ..rendering.video_portrait import read_video_portrait, video_of
from ..speech import frame_count
from ..values import AudioFeatures, Motion, Portrait
from .input_kinds import is_video
from .over_video import motion_over_video
from .pose_source import read_pose
from .recipe import recipe_mark
from .stages import JobReport, StageClock, check_emotion, sample_motion, with_fitted_pose
from .talk import TalkRequest, check, load_models, read_picture_of
from .told_emotion import told_emotion, with_loudness


@dataclass(frozen=True)
class DialogueRequest:
    """All inputs of a dialogue.

    ``portraits``: one file that shows all speakers, or one file each. ``speech``: one recording with a voice in each
    channel or track, or one file each. ``emotions``: one for all or one each. ``faces``: which face of the one file
    each voice has, () for the order from the left. ``how`` has everything else; its portrait and speech are not used,
    and speaker n is sampled with its seed + n.
    """

    portraits: tuple[Path, ...]
    speech: tuple[Path, ...]
    how: TalkRequest
    emotions: tuple[str, ...] = ()
    listening: Listening = Listening()
    faces: tuple[Pick, ...] = ()

    @property
    def mark(self) -> bool:
        """Whether the video is marked as synthetic."""
        return self.how.mark


@dataclass(frozen=True)
class _Speaker:
    """One who speaks: the file of the portrait, which face of it, None as the request says, the voice and the
    emotion."""

    portrait: Path
    pick: Pick | None
    voice: Voice
    emotion: str


def dialogue(request: DialogueRequest, progress: StageProgress | None = None) -> JobReport:
    """Make the video: all faces in the one picture or video they are of, or one portrait beside the other.

    Raises UserError for anything a user can correct, before the slow part wherever possible.
    """
    speakers = _speakers(request)
    with OutputLock(request.how.output):
        return _dialogue(request, speakers, StageClock(progress))


def _dialogue(request: DialogueRequest, speakers: Sequence[_Speaker], clock: StageClock) -> JobReport:
    how = request.how
    with clock.stage("read speech"):
        sounds = [speaker.voice.read() for speaker in speakers]
        if len(request.speech) == 1:
            require_different(sounds, request.speech[0])
    with clock.stage("load models"):
        face, generator = load_models(how)
    with clock.stage("read portraits") as step:
        portraits = [_portrait(face, how, speaker, step) for speaker in speakers]
    for portrait, speaker, sound in zip(portraits, speakers, sounds, strict=True):
        told = told_emotion(speaker.emotion, how.intensity)
        frames = frame_count(len(sound.waveform), sound.rate)
        check_emotion(generator, portrait.keypoint_space, told, frames, how.emotion_by)
    with clock.stage("listen") as step:
        encoder = generator.encoder(how.weights.audio, how.device)
        heard = [encoder.listen(sound.waveform, sound.rate, step) for sound in sounds]
    with clock.stage("generate motion") as step:
        motions = [
            _motion(how, face, generator, portrait, audio, speaker.emotion, number, step)
            for number, (portrait, audio, speaker) in enumerate(zip(portraits, heard, speakers, strict=True))
        ]
    faces = [
        MovingFace(portrait, _listening(request, motions[number], portrait, heard, number))
        for number, portrait in enumerate(portraits)
    ]
    plate = len({speaker.portrait for speaker in speakers}) == 1
    job = faces_job(face, faces, Arrangement("plate" if plate else "row", how.paste_back), how.rendering)
    with clock.stage("render and encode") as step:
        kind = COMPOSITE if plate or how.paste_back else DRAWN
        mark = recipe_mark("dialogue", request, kind)
        encoding = replace(how.encoding, alpha="none", mark=mark, signing=how.sign)
        parts = segments_folder(how.output) if how.keep_parts else None
        output = VideoOutput(how.output, _sound(request, speakers), how.resume, encoding, parts)
        frames = write_video(job, output, step)
    return JobReport(how.output, frames, job.fps, tuple(clock.stages))


def _speakers(request: DialogueRequest) -> list[_Speaker]:
    """Who speaks with which voice. Raises UserError where portraits, voices and emotions do not go together."""
    how = request.how
    for flag, given in (
        ("--mask", how.mask),
        ("--fps", how.fps),
        ("--emotion-tags", how.emotion_tags),
        ("--alpha keep", how.encoding.alpha == "keep"),
    ):
        if given:
            raise UserError(f"A dialogue does not take {flag}; please leave it out.")
    for portrait in request.portraits:
        for speech in request.speech:
            check(replace(how, portrait=portrait, speech=speech))
    track = how.audio_track
    voices = [voice for path in request.speech for voice in _voices(path, track, len(request.speech) > 1)]
    count, portraits = len(voices), request.portraits
    if count < 2:
        raise UserError(
            f"{request.speech[0]} has one voice and a dialogue needs two; please give a recording with one voice in"
            " each channel, or one file for each voice."
        )
    if len(portraits) not in (1, count):
        raise UserError(
            f"There are {len(portraits)} portraits and {count} voices; please give one portrait for each voice, or one"
            " picture that shows everybody."
        )
    emotions = request.emotions or (how.emotion,)
    if len(emotions) not in (1, count):
        raise UserError(f"There are {len(emotions)} emotions and {count} voices; please give one for each, or one.")
    together = len(set(portraits)) == 1
    if request.faces and (not together or len(request.faces) != count):
        raise UserError(
            f"Got {len(request.faces)} faces for {count} voices and {len(portraits)} portraits; please give one face"
            " for each voice, and one portrait that shows everybody."
        )
    faces = request.faces or tuple(Pick("left", number) for number in range(count))
    return [
        _Speaker(
            portraits[number % len(portraits)],
            faces[number] if together else None,
            voice,
            emotions[number % len(emotions)],
        )
        for number, voice in enumerate(voices)
    ]


def _voices(path: Path, track: int | None, alone: bool) -> list[Voice]:
    """The voices of a file; only one, all channels mixed, where it is one of several files."""
    found = find_voices(path, track)
    return [Voice(found[0].source)] if alone else found


def _portrait(face: FaceModel, how: TalkRequest, speaker: _Speaker, step: Progress) -> Portrait:
    pick = speaker.pick or how.face
    if is_video(speaker.portrait):
        options = FaceVideoOptions(how.crop, pick, how.crop_options, threshold=how.threshold)
        return read_video_portrait(face, VideoFile(speaker.portrait), options, how.over.fit, how.limits, step)
    picture, _ = read_picture_of(replace(how, portrait=speaker.portrait, paste_back=True))
    return read_source_portrait(face, picture, how.crop, pick, how.crop_options, how.limits, how.threshold).portrait


def _motion(
    how: TalkRequest,
    face: FaceModel,
    generator: MotionGenerator,
    portrait: Portrait,
    audio: AudioFeatures,
    emotion: str,
    number: int,
    step: Progress,
) -> Motion:
    schedule = with_loudness(told_emotion(emotion, how.intensity), audio, how.emotion_quiet)
    sampling = how.sampling or how.sampling_changes.on(generator.defaults)
    sampling = replace(sampling, seed=(sampling.seed + number) % 2**63)
    pieces = sample_motion(generator, portrait, audio, schedule, sampling, by=how.emotion_by, progress=step)
    pose = read_pose(face, how.pose, portrait, len(audio), step)
    return with_fitted_pose(joined(list(pieces)), pose, portrait.rest.pose, how.pose.fit)


def _listening(
    request: DialogueRequest, motion: Motion, portrait: Portrait, heard: Sequence[AudioFeatures], number: int
) -> Motion:
    """The motion of one speaker, who listens to the others; over the video where the portrait is one."""
    others = [_as_long(audio.energy, len(motion)) for n, audio in enumerate(heard) if n != number]
    other = torch.stack(others).amax(0)
    how = replace(request.listening, seed=(request.listening.seed + number) % 2**63)
    moved = listening(motion, heard[number].energy, other, how)
    video = video_of(portrait)
    return moved if video is None else motion_over_video(video.video, moved, request.how.over)[1]


def _as_long(energy: Tensor, frames: int) -> Tensor:
    return torch.nn.functional.pad(energy[:frames], (0, max(0, frames - len(energy))))


def _sound(request: DialogueRequest, speakers: Sequence[_Speaker]) -> AnySound:
    """The recording as it is where it is one track; else all voices mixed."""
    first = speakers[0].voice.source
    if all(speaker.voice.source == first for speaker in speakers):
        return replace(first, reported=True)
    return mixed([speaker.voice for speaker in speakers])
