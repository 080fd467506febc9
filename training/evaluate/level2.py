"""Level 2: rendered pictures in, our own networks, rendered pictures out (docs/method.md 4.3).

What is drawn is compared with the exact answer of the renderer. Ground truth is never an input: portraits and motions
are read by M.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.face import FaceModel, FaceReading
from playmate_core.geometry import place
from training.data import Session, Sessions
from training.evaluate.placing import device_of, on_cpu
from training.evaluate.table import Row, number
from training.pairs import images, pose_gap_degrees, resized, truth
from training.synthetic.identity import make_identity
from training.synthetic.pixels import render
from training.synthetic.rig import RIG, rig_from_expression
from training.synthetic.scene import Scene
from training.synthetic.sessions import session_scene

#: Degrees between source and driving frame of a pair that counts.
GAP = 5.0


@dataclass(frozen=True)
class Redrawing:
    """One source frame drawn with another frame's motion, beside the exact answer and the copied source."""

    source: Tensor  # (3, S, S)
    driving: Tensor  # (3, S, S)
    drawn: Tensor  # (3, S, S)
    answer: Tensor  # (3, S, S)


def psnr(first: Tensor, second: Tensor) -> float:
    """Peak signal-to-noise ratio of two pictures in [0, 1], decibels."""
    return float(-10.0 * (first - second).square().mean().clamp(min=1e-10).log10())


def ssim(first: Tensor, second: Tensor) -> float:
    """Structural similarity of two pictures (3, S, S) in [0, 1] (scikit-image, 11-pixel Gaussian window)."""
    from skimage.metrics import structural_similarity

    a, b = first.permute(1, 2, 0).numpy(), second.permute(1, 2, 0).numpy()
    return float(structural_similarity(a, b, channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5))


def read(face: FaceModel, image: Tensor) -> FaceReading:
    """Outputs of M for pictures (B, 3, S, S) of any size, on the CPU; M computes where it lies."""
    return on_cpu(face.read(resized(image, face.config.reading_size).to(device_of(face))))


def redraw(face: FaceModel, image: Tensor, seen: FaceReading, motion: FaceReading) -> Tensor:
    """The person of ``image`` with another reading's motion (Eq. 1, absolute) -> (B, 3, 2s, 2s)."""
    x_s = place(seen.keypoints, seen.rotation, seen.expression, seen.translation, seen.scale)
    x_d = place(seen.keypoints, motion.rotation, motion.expression, motion.translation, motion.scale)
    device = device_of(face)
    volume = face.appearance(resized(image, face.config.image_size).to(device))
    return face.draw(volume, x_s.to(device), x_d.to(device)).cpu()


def far_pairs(source: Session, driving: Session, count: int, seed: int) -> list[tuple[int, int]]:
    """Up to ``count`` pairs (frame of one session, frame of the other) more than GAP degrees apart, no pair twice."""
    generator = torch.Generator().manual_seed(seed)
    every = torch.cartesian_prod(torch.arange(len(source)), torch.arange(len(driving)))
    gaps = pose_gap_degrees(source.rotation[every[:, 0]], driving.rotation[every[:, 1]])
    far = every[gaps > GAP]
    return [(int(i), int(j)) for i, j in far[torch.randperm(len(far), generator=generator)[:count]]]


@torch.inference_mode()
def self_reenactments(face: FaceModel, sessions: Sessions, pairs: int) -> Iterator[Redrawing]:
    """Frame i drawn with frame j's motion; the answer is frame j itself."""
    for index in range(len(sessions)):
        session = sessions[index]
        for i, j in far_pairs(session, session, pairs, index):
            source, driving = images([(session, i)]), images([(session, j)])
            drawn = redraw(face, source, read(face, source), read(face, driving))
            answer = resized(driving, drawn.shape[-1])
            yield Redrawing(resized(source, drawn.shape[-1])[0], answer[0], drawn[0], answer[0])


@torch.inference_mode()
def cross_reenactments(face: FaceModel, sessions: Sessions, seed: int, pairs: int) -> Iterator[Redrawing]:
    """One person drawn with another's motion; the answer is that person rendered with exactly that motion."""
    for index in range(len(sessions)):
        one, other = sessions[index], sessions[(index + 1) % len(sessions)]
        for i, j in far_pairs(one, other, pairs, index):
            source, driving = images([(one, i)]), images([(other, j)])
            drawn = redraw(face, source, read(face, source), read(face, driving))
            side = drawn.shape[-1]
            answer = rendered_answer(one, session_scene(seed, one.identity_seed), other, j, side)
            yield Redrawing(resized(source, side)[0], resized(driving, side)[0], drawn[0], answer)


def rendered_answer(one: Session, scene: Scene, other: Session, frame: int, side: int) -> Tensor:
    """``one``'s head under ``other``'s true motion, rendered -> (3, side, side)."""
    identity = make_identity(one.identity_seed)
    asked = truth([(other, frame)])
    rig = rig_from_expression(identity, asked.expression[0].numpy())
    picture = render(
        identity,
        scene,
        rig,
        asked.rotation[0].numpy(),
        asked.translation[0].numpy(),
        float(asked.scale[0]),
        side,
    )
    return torch.from_numpy(picture).permute(2, 0, 1).float() / 255.0


#: What M is marked on beside the pose, and the rig parameters it shows in.
MARKED = {
    "jaw": ("jaw",),
    "smile": ("smile_left", "smile_right"),
    "brows": ("brow_inner", "brow_outer", "brow_low"),
    "lids": ("lid_left", "lid_right"),
    "gaze across": ("gaze_x",),
    "gaze down": ("gaze_y",),
}


@torch.inference_mode()
def reading_rows(face: FaceModel, sessions: Sessions) -> list[Row]:
    """How well M reads people it has not met: mean error of the angles, and correlation of the rig with the truth."""
    asked, got, turns = [], [], []
    for index in range(len(sessions)):
        session = sessions[index]
        seen = read(face, images([(session, frame) for frame in range(len(session))]))
        identity = make_identity(session.identity_seed)
        asked.append(session.rig.numpy())
        got.append(rig_from_expression(identity, seen.expression.numpy()))
        turns.append((seen.rotation - session.rotation).abs())
    true, read_back = np.concatenate(asked), np.concatenate(got)
    alike = [np.corrcoef(true[:, k], read_back[:, k])[0, 1] for k in range(len(RIG))]
    marks = [float(np.mean([alike[RIG.index(name)] for name in names])) for names in MARKED.values()]
    return [
        Row("M on unseen people: pose error, degrees", number(float(torch.cat(turns).mean()), 2)),
        Row(f"M on unseen people: correlation, {' / '.join(MARKED)}", " / ".join(number(mark, 2) for mark in marks)),
    ]


def fidelity_rows(name: str, made: list[Redrawing], at_least: tuple[float, float | None, float]) -> list[Row]:
    """PSNR, SSIM and the gain over copying the source, against what the issue asks (dB, SSIM or None, dB of gain).

    Raises UserError where there is no pair.
    """
    if not made:
        raise UserError(f"No two frames are {GAP:g} degrees apart for {name}; make sessions of more frames.")
    decibels, similarity, gain = at_least
    ours = float(np.mean([psnr(r.drawn, r.answer) for r in made]))
    copied = float(np.mean([psnr(r.source, r.answer) for r in made]))
    ours_ssim = float(np.mean([ssim(r.drawn, r.answer) for r in made]))
    copied_ssim = float(np.mean([ssim(r.source, r.answer) for r in made]))
    asked_ssim = f">= {similarity:g}" if similarity else ""
    return [
        Row(f"{name}: PSNR, dB", number(ours, 2), f">= {decibels:g}", ours >= decibels, "inf", number(copied, 2)),
        Row(
            f"{name}: SSIM",
            number(ours_ssim),
            asked_ssim,
            ours_ssim >= similarity if similarity else None,
            "1",
            number(copied_ssim),
        ),
        Row(
            f"{name}: gain over copying the source, dB", number(ours - copied, 2), f">= {gain:g}", ours - copied >= gain
        ),
    ]
