"""Figures read back from pixels by an independent probe, trained on people the system never saw (METHOD 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.geometry import place, place_motion
from playmate_core.values import EMOTIONS, Motion, Pose
from training.data import Sessions
from training.evaluate import motion_metrics as metrics
from training.evaluate.level2 import draw, read
from training.evaluate.subjects import Subject, System
from training.evaluate.table import Row, number
from training.pairs import images, resized
from training.probe import Probe
from training.synthetic.identity import make_identity
from training.synthetic.pixels import render
from training.synthetic.rig import expression_from_rig, lip_aperture
from training.synthetic.scene import Scene

#: Frames of a clip the pixel figures look at, and how many are drawn at once.
FRAMES = 100
BATCH = 10
#: Angles asked of the pose override stay within these (pitch, yaw, roll; degrees).
ASKED = (20.0, 30.0, 20.0)


@dataclass(frozen=True)
class Filmed:
    """A held-out subject as pictures: the portrait shown to the system, and the scene it stands in."""

    subject: Subject
    scene: Scene
    portrait: Tensor  # (1, 3, S, S)


def film(subject: Subject, scene: Scene, motion: Motion, frames: slice) -> Iterator[Tensor]:
    """The true renderings of a subject under a motion, batches of (n, 3, S, S)."""
    identity = make_identity(subject.clip.identity_seed)
    shown, rig = motion[frames], subject.clip.rig[frames]
    for start in range(0, len(shown), BATCH):
        pictures = [
            render(
                identity,
                scene,
                rig[k].numpy(),
                shown.pose.rotation[k].numpy(),
                shown.pose.translation[k].numpy(),
                float(shown.pose.scale[k]),
            )
            for k in range(start, min(start + BATCH, len(shown)))
        ]
        yield torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255.0


def filmed(subject: Subject, scene: Scene) -> Filmed:
    """Take the subject's portrait: the clip's first frame."""
    return Filmed(subject, scene, next(film(subject, scene, subject.clip.motion, slice(0, 1))))


@torch.inference_mode()
def drawn(face: FaceModel, one: Filmed, motion: Motion) -> Iterator[Tensor]:
    """The system's frames of a motion, batches of (n, 3, S, S); keypoints and rest are what M sees in the portrait."""
    seen = read(face, one.portrait)
    volume = face.appearance(resized(one.portrait, face.config.image_size))
    x_s = place(seen.keypoints, seen.rotation, seen.expression, seen.translation, seen.scale)
    x_d = place_motion(seen.keypoints[0], motion)
    for part in x_d.split(BATCH):
        yield face.draw(volume, x_s.expand(len(part), -1, -1), part)


def seen_rest(face: FaceModel, one: Filmed) -> tuple[Tensor, Motion]:
    """Canonical keypoints (K, 3) and rest motion of a portrait, by M."""
    seen = read(face, one.portrait)
    return seen.keypoints[0], Motion(Pose(seen.rotation, seen.translation, seen.scale), seen.expression)


def speak(system: System, face: FaceModel, one: Filmed, emotion: str | None) -> Motion:
    """Generate for a portrait as M reads it: nothing of the ground truth is given."""
    keypoints, rest = seen_rest(face, one)
    clip = replace(one.subject.clip, keypoints=keypoints, motion=rest)
    return system.speak(replace(one.subject, clip=clip), emotion)


def aperture_of(probe: Probe, identity_seed: int, batches: Iterator[Tensor]) -> Tensor:
    """Lip aperture the probe reads from frames -> (T,)."""
    identity = make_identity(identity_seed)
    rig = torch.cat([probe(batch).rig for batch in batches])
    return lip_aperture(torch.as_tensor(expression_from_rig(identity, rig.numpy())))


def emotion_of(probe: Probe, batches: Iterator[Tensor]) -> str:
    """The emotion with the largest mean probability over frames."""
    chances = torch.cat([probe(batch).emotion.softmax(-1) for batch in batches]).mean(0)
    return EMOTIONS[int(chances.argmax())]


@torch.inference_mode()
def lip_rows(system: System, face: FaceModel, probe: Probe, cast: list[Filmed]) -> list[Row]:
    """Lip sync read from pixels: ours, the true renderings (ceiling), and our frames against another clip's lips."""
    ours, true, wrong = [], [], []
    tracks = []
    for one in cast:
        motion = speak(system, face, one, None)[:FRAMES]
        tracks.append(aperture_of(probe, one.subject.clip.identity_seed, drawn(face, one, motion)))
        real = film(one.subject, one.scene, one.subject.clip.motion, slice(0, FRAMES))
        true.append(metrics.correlation(aperture_of(probe, one.subject.clip.identity_seed, real), one.subject.aperture))
    for index, track in enumerate(tracks):
        ours.append(metrics.correlation(track, cast[index].subject.aperture[: len(track)]))
        wrong.append(metrics.correlation(track, cast[(index + 1) % len(cast)].subject.aperture[: len(track)]))
    value = float(np.mean(ours))
    controls = (number(float(np.mean(true))), "0", number(float(np.mean(wrong))))
    return [Row("lip-aperture correlation read from pixels", number(value), ">= 0.85", value >= 0.85, *controls)]


@torch.inference_mode()
def emotion_rows(system: System, face: FaceModel, probe: Probe, cast: list[Filmed]) -> list[Row]:
    """Eight emotions on neutral voices, read from pixels."""
    right = []
    for one in cast:
        for emotion in EMOTIONS:
            motion = speak(system, face, one, emotion)[: FRAMES // 2]
            right.append(emotion_of(probe, drawn(face, one, motion)) == emotion)
    value = float(np.mean(right))
    return [Row("emotion accuracy read from pixels", number(value), ">= 0.80", value >= 0.80)]


@torch.inference_mode()
def pose_rows(system: System, face: FaceModel, probe: Probe, sessions: Sessions, cast: list[Filmed]) -> list[Row]:
    """Requested angles read back, with the probe's own error on true frames beside; and how still a still head is."""
    errors, own = [], []
    limit = torch.tensor(ASKED)
    for index in range(len(sessions)):
        session = sessions[index]
        frames = images([(session, k) for k in range(len(session))])
        own.append((probe(frames).rotation - session.rotation).abs())
        asked = session.rotation.clamp(-limit, limit)
        seen = read(face, frames[:1].expand(len(session), -1, -1, -1))
        errors.append((probe(draw(face, frames[:1], seen, replace(seen, rotation=asked))).rotation - asked).abs())
    mean, ceiling = torch.cat(errors).mean(0), float(torch.cat(own).mean())
    total = float(mean.mean())
    wander = []
    for one in cast:
        motion = speak(system, face, one, None)[:FRAMES]
        rest = seen_rest(face, one)[1]
        still = replace(
            motion.pose,
            rotation=rest.pose.rotation.expand(len(motion), -1),
            translation=rest.pose.translation.expand(len(motion), -1),
            scale=rest.pose.scale.expand(len(motion), -1),
        )
        seen_angles = torch.cat([probe(batch).rotation for batch in drawn(face, one, motion.with_pose(still))])
        wander.append(float(seen_angles.std(0).mean()))
    moved = float(np.mean(wander))
    parts = " / ".join(number(float(value), 2) for value in mean)
    return [
        Row("pose override, mean error in degrees", number(total, 2), "<= 2.5", total <= 2.5, number(ceiling, 2)),
        Row("pose override, pitch / yaw / roll", parts),
        Row("still head, deviation read back, degrees", number(moved, 2), "< 0.5", moved < 0.5),
    ]


@torch.inference_mode()
def identity_rows(system: System, face: FaceModel, probe: Probe, cast: list[Filmed]) -> list[Row]:
    """Likeness of drawn frames to their own portrait, against every other; no row for fewer than two people."""
    if len({_person(one) for one in cast}) < 2:
        return []
    portraits = torch.cat([probe(one.portrait).identity for one in cast])
    own, others = [], []
    for index, one in enumerate(cast):
        motion = speak(system, face, one, None)[:BATCH]
        likeness = probe(next(drawn(face, one, motion))).identity @ portraits.T
        own.append(float(likeness[:, index].mean()))
        strangers = [k for k, other in enumerate(cast) if _person(other) != _person(one)]
        others.append(float(likeness[:, strangers].mean(0).max()))
    margin = float(np.min(np.array(own) - np.array(others)))
    text = f"{number(float(np.mean(own)))} against {number(float(np.max(others)))}"
    return [
        Row("identity: likeness to the portrait against the most alike other", text),
        Row("identity: smallest margin over people", number(margin), "> 0", margin > 0),
    ]


def _person(one: Filmed) -> int:
    return one.subject.clip.identity_seed


def disturbed(image: Tensor) -> Tensor:
    """Pictures (B, 3, S, S) as a small network might draw them: half the detail, a little noise, a little darker."""
    half = torch.nn.functional.avg_pool2d(image, 2)
    soft = torch.nn.functional.interpolate(half, size=image.shape[-2:], mode="bilinear")
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return (0.97 * soft + 0.02 * noise).clamp(0.0, 1.0)


def probe_rows(probe: Probe, sessions: Sessions) -> list[Row]:
    """The probe's own marks on rendered truth, as it is and disturbed: figures read with it count where these pass."""
    return [
        *_marks("truth", probe, sessions, lambda image: image),
        *_marks("blurred truth", probe, sessions, disturbed),
    ]


@torch.inference_mode()
def _marks(name: str, probe: Probe, sessions: Sessions, shown: Callable[[Tensor], Tensor]) -> list[Row]:
    pose, named, lips, likeness = [], [], [], []
    for index in range(len(sessions)):
        session = sessions[index]
        seen = probe(shown(images([(session, k) for k in range(len(session))])))
        pose.append((seen.rotation - session.rotation).abs())
        clear = session.intensity > 0.6
        named.append((seen.emotion.argmax(-1) == session.emotion)[clear].float())
        identity = make_identity(session.identity_seed)
        true = lip_aperture(torch.as_tensor(expression_from_rig(identity, session.rig.numpy())))
        read_back = lip_aperture(torch.as_tensor(expression_from_rig(identity, seen.rig.numpy())))
        lips.append(metrics.correlation(read_back, true))
        likeness.append(seen.identity)
    gallery = torch.stack([rows[0] for rows in likeness])
    hits = [(rows[1:] @ gallery.T).argmax(-1) == index for index, rows in enumerate(likeness)]
    degrees, emotion = float(torch.cat(pose).mean()), float(torch.cat(named).mean())
    identity_hits = float(torch.cat(hits).float().mean())
    return [
        Row(f"probe on {name}: pose error, degrees", number(degrees, 2), "<= 1.5", degrees <= 1.5),
        Row(f"probe on {name}: emotion, one frame", number(emotion), ">= 0.95", emotion >= 0.95),
        Row(f"probe on {name}: identity among the held-out", number(identity_hits), ">= 0.95", identity_hits >= 0.95),
        Row(f"probe on {name}: lip aperture correlation", number(float(np.mean(lips)))),
    ]
