"""Figures read back from pixels by an independent probe, trained on people the system never saw.

See docs/method.md 4.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.motion.pose import still
from playmate_core.values import EMOTIONS
from training.data import Sessions
from training.evaluate import motion_metrics as metrics
from training.evaluate.level2 import read, redraw
from training.evaluate.pixel_emotion import PixelJudge, spaced
from training.evaluate.rendered_clips import (
    BATCH,
    RenderedClip,
    generated_frames,
    render_clip,
    render_still,
    seen_rest,
    speak,
    speak_each,
)
from training.evaluate.subjects import System
from training.evaluate.table import Row, number
from training.pairs import images
from training.probe import Reader
from training.probe_stage import half_detail
from training.synthetic.identity import make_identity
from training.synthetic.rig import expression_from_rig, lip_aperture

#: Frames of a clip the pixel figures look at.
FRAMES = 100
#: One frame in this many of a truly still head is rendered, to see what the probe reads into a talking face.
STILL_EVERY = 4
#: Angles asked of the pose override stay within these (pitch, yaw, roll; degrees).
ASKED = (20.0, 30.0, 20.0)


def aperture_of(probe: Reader, identity_seed: int, batches: Iterable[Tensor]) -> Tensor:
    """Lip aperture the probe reads from frames -> (T,)."""
    identity = make_identity(identity_seed)
    rig = torch.cat([probe(batch).rig for batch in batches])
    return lip_aperture(torch.as_tensor(expression_from_rig(identity, rig.numpy())))


@torch.inference_mode()
def lip_rows(system: System, face: FaceModel, probe: Reader, cast: list[RenderedClip]) -> list[Row]:
    """Lip sync read from pixels: ours, the true renderings (ceiling), and our frames against another clip's lips."""
    ours, true, wrong = [], [], []
    tracks = []
    for one in cast:
        motion = speak(system, face, one, None)[:FRAMES]
        tracks.append(aperture_of(probe, one.person, generated_frames(face, one, motion)))
        real = render_clip(one.subject.clip, one.seed, range(min(FRAMES, len(one.subject.clip))))
        true.append(metrics.correlation(aperture_of(probe, one.person, real.split(BATCH)), one.subject.aperture))
    for index, track in enumerate(tracks):
        ours.append(metrics.correlation(track, cast[index].subject.aperture[: len(track)]))
        wrong.append(metrics.correlation(track, cast[(index + 1) % len(cast)].subject.aperture[: len(track)]))
    value = float(np.mean(ours))
    controls = (number(float(np.mean(true))), "0", number(float(np.mean(wrong))))
    return [Row("lip-aperture correlation read from pixels", number(value), ">= 0.85", value >= 0.85, *controls)]


@torch.inference_mode()
def emotion_rows(system: System, face: FaceModel, named: PixelJudge, cast: list[RenderedClip]) -> list[Row]:
    """Eight emotions on neutral voices, read from pixels; the still portrait shows its one face eight times."""
    right, unmoved = [], []
    for one in cast:
        rest = one.at_rest()
        told = named.name(one.portrait, rest)
        for emotion, motion in zip(EMOTIONS, speak_each(system, face, one, EMOTIONS), strict=True):
            looks = spaced(len(motion))
            shown = motion[looks.start : looks.stop : looks.step]
            right.append(named.name(torch.cat(list(generated_frames(face, one, shown))), rest) == emotion)
            unmoved.append(told == emotion)
    value, control = float(np.mean(right)), number(float(np.mean(unmoved)))
    ceiling = number(named.on_truth)
    return [Row("emotion accuracy read from pixels", number(value), ">= 0.80", value >= 0.80, ceiling, control)]


@torch.inference_mode()
def pose_rows(
    system: System, face: FaceModel, probe: Reader, sessions: Sessions, cast: list[RenderedClip]
) -> list[Row]:
    """Requested angles read back, with the probe's own error on true frames beside; and how still a still head is."""
    errors, own = [], []
    limit = torch.tensor(ASKED)
    for index in range(len(sessions)):
        session = sessions[index]
        frames = images([(session, k) for k in range(len(session))])
        own.append((probe(frames).rotation - session.rotation).abs())
        asked = session.rotation.clamp(-limit, limit)
        seen = read(face, frames[:1].expand(len(session), -1, -1, -1))
        errors.append((probe(redraw(face, frames[:1], seen, replace(seen, rotation=asked))).rotation - asked).abs())
    mean, ceiling = torch.cat(errors).mean(0), float(torch.cat(own).mean())
    total = float(mean.mean())
    wander, true_wander = [], []
    for one in cast:
        motion = speak(system, face, one, None)[:FRAMES]
        held = motion.with_pose(still(seen_rest(face, one)[1].pose, len(motion), motion.fps))
        seen_angles = torch.cat([probe(batch).rotation for batch in generated_frames(face, one, held)])
        wander.append(float(seen_angles.std(0).mean()))
        true_wander.append(float(probe(render_still(one, range(0, len(motion), STILL_EVERY))).rotation.std(0).mean()))
    moved = float(np.mean(wander))
    parts = " / ".join(number(float(value), 2) for value in mean)
    return [
        Row("pose override, mean error in degrees", number(total, 2), "<= 2.5", total <= 2.5, number(ceiling, 2)),
        Row("pose override, pitch / yaw / roll", parts),
        Row(
            "still head, deviation read back, degrees",
            number(moved, 2),
            "< 0.5",
            moved < 0.5,
            number(float(np.mean(true_wander)), 2),
        ),
    ]


@torch.inference_mode()
def identity_rows(system: System, face: FaceModel, probe: Reader, cast: list[RenderedClip]) -> list[Row]:
    """Likeness of drawn frames to their own portrait, against every other; no row for fewer than two people."""
    if len({one.person for one in cast}) < 2:
        return []
    portraits = torch.cat([probe(one.portrait).identity for one in cast])
    own, others = [], []
    for index, one in enumerate(cast):
        motion = speak(system, face, one, None)[:BATCH]
        likeness = probe(next(generated_frames(face, one, motion))).identity @ portraits.T
        own.append(float(likeness[:, index].mean()))
        strangers = [k for k, other in enumerate(cast) if other.person != one.person]
        others.append(float(likeness[:, strangers].mean(0).max()))
    margin = float(np.min(np.array(own) - np.array(others)))
    text = f"{number(float(np.mean(own)))} against {number(float(np.max(others)))}"
    return [
        Row("identity: likeness to the portrait against the most alike other", text),
        Row("identity: smallest margin over people", number(margin), "> 0", margin > 0),
    ]


def disturbed(image: Tensor) -> Tensor:
    """Pictures (B, 3, S, S) as a small network might draw them: half the detail, a little noise, a little darker."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return (0.97 * half_detail(image) + 0.02 * noise).clamp(0.0, 1.0)


def probe_rows(probe: Reader, sessions: Sessions) -> list[Row]:
    """The probe's own marks on rendered truth, as it is and disturbed: figures read with it count where these pass."""
    return [
        *_marks("truth", probe, sessions, lambda image: image),
        *_marks("blurred truth", probe, sessions, disturbed),
    ]


@torch.inference_mode()
def _marks(name: str, probe: Reader, sessions: Sessions, shown: Callable[[Tensor], Tensor]) -> list[Row]:
    pose, lips, likeness = [], [], []
    for index in range(len(sessions)):
        session = sessions[index]
        seen = probe(shown(images([(session, k) for k in range(len(session))])))
        pose.append((seen.rotation - session.rotation).abs())
        identity = make_identity(session.identity_seed)
        true = lip_aperture(torch.as_tensor(expression_from_rig(identity, session.rig.numpy())))
        read_back = lip_aperture(torch.as_tensor(expression_from_rig(identity, seen.rig.numpy())))
        lips.append(metrics.correlation(read_back, true))
        likeness.append(seen.identity)
    gallery = torch.stack([rows[0] for rows in likeness])
    hits = [(rows[1:] @ gallery.T).argmax(-1) == index for index, rows in enumerate(likeness)]
    degrees = float(torch.cat(pose).mean())
    identity_hits = float(torch.cat(hits).float().mean())
    return [
        Row(f"probe on {name}: pose error, degrees", number(degrees, 2), "<= 1.5", degrees <= 1.5),
        Row(f"probe on {name}: identity among the held-out", number(identity_hits), ">= 0.95", identity_hits >= 0.95),
        Row(f"probe on {name}: lip aperture correlation", number(float(np.mean(lips)))),
    ]
