"""Held-out people as pictures: the portrait shown to the system, their true renderings, and the system's own frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.geometry import place, place_motion
from playmate_core.motion.pose import still
from playmate_core.values import Motion, Pose
from training.data import SyntheticClip
from training.evaluate.level2 import read
from training.evaluate.placing import device_of
from training.evaluate.subjects import Subject, System, Take
from training.pairs import resized
from training.synthetic.identity import make_identity
from training.synthetic.pixels import render
from training.synthetic.rig import RIG
from training.synthetic.sessions import session_scene

#: Frames drawn at once.
BATCH = 10
#: How large a head at rest is shown.
REST_SCALE = 1.3


@dataclass(frozen=True)
class RenderedClip:
    """A held-out subject in its place of the corpus ``seed``; ``portrait`` (1, 3, S, S) is the clip's first frame."""

    subject: Subject
    seed: int
    portrait: Tensor

    @property
    def person(self) -> int:
        return self.subject.clip.identity_seed

    def at_rest(self) -> Tensor:
        """The person facing us without any expression, (1, 3, S, S)."""
        return render_at_rest(self.person, self.seed)


def rendered_clip(subject: Subject, seed: int) -> RenderedClip:
    """Take the subject's portrait."""
    return RenderedClip(subject, seed, render_clip(subject.clip, seed, range(1)))


def render_clip(clip: SyntheticClip, seed: int, frames: range) -> Tensor:
    """The true renderings of some frames of a clip, in its person's place of the corpus ``seed``: (n, 3, S, S)."""
    identity, scene = make_identity(clip.identity_seed), session_scene(seed, clip.identity_seed)
    pose = clip.motion.pose
    pictures = [
        render(
            identity,
            scene,
            clip.rig[k].numpy(),
            pose.rotation[k].numpy(),
            pose.translation[k].numpy(),
            float(pose.scale[k]),
        )
        for k in frames
    ]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255.0


def render_at_rest(person: int, seed: int) -> Tensor:
    """A person facing us without any expression, in their place of the corpus ``seed``: (1, 3, S, S)."""
    none = np.zeros(3)
    picture = render(make_identity(person), session_scene(seed, person), np.zeros(len(RIG)), none, none, REST_SCALE)
    return torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float() / 255.0


def render_still(one: RenderedClip, frames: range) -> Tensor:
    """As :func:`video`, but the head keeps the pose of the first frame."""
    clip = one.subject.clip
    held = still(clip.motion.pose[:1], len(clip), clip.motion.fps)
    return render_clip(replace(clip, motion=clip.motion.with_pose(held)), one.seed, frames)


@torch.inference_mode()
def generated_frames(face: FaceModel, one: RenderedClip, motion: Motion) -> Iterator[Tensor]:
    """The system's frames of a motion, batches of (n, 3, S, S); keypoints and rest are what M sees in the portrait."""
    seen, device = read(face, one.portrait), device_of(face)
    volume = face.appearance(resized(one.portrait, face.config.image_size).to(device))
    x_s = place(seen.keypoints, seen.rotation, seen.expression, seen.translation, seen.scale)
    x_d = place_motion(seen.keypoints[0], motion)
    for part in x_d.split(BATCH):
        yield face.draw(volume, x_s.expand(len(part), -1, -1).to(device), part.to(device)).cpu()


def seen_rest(face: FaceModel, one: RenderedClip) -> tuple[Tensor, Motion]:
    """Canonical keypoints (K, 3) and rest motion of a portrait, by M."""
    seen = read(face, one.portrait)
    return seen.keypoints[0], Motion(Pose(seen.rotation, seen.translation, seen.scale), seen.expression)


def speak(system: System, face: FaceModel, one: RenderedClip, emotion: str | None) -> Motion:
    """Generate for a portrait as M reads it: nothing of the ground truth is given."""
    return speak_each(system, face, one, [emotion])[0]


def speak_each(system: System, face: FaceModel, one: RenderedClip, emotions: Sequence[str | None]) -> list[Motion]:
    """As :func:`speak`, in each of the ``emotions``, as one batch."""
    keypoints, rest = seen_rest(face, one)
    subject = replace(one.subject, clip=replace(one.subject.clip, keypoints=keypoints, motion=rest))
    return system.perform([Take(subject, emotion) for emotion in emotions])
