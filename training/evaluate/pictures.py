"""The pictures a person would look at: contact sheets, and motion curves beside the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.evaluate.level1 import Pairing
from training.evaluate.level2 import Redrawing
from training.evaluate.subjects import Subject


def contact_sheet(made: list[Redrawing], path: Path, rows: int = 8) -> None:
    """Source, driving, drawn and exact answer, side by side, ``rows`` of them."""
    import cv2

    chosen = made[:: max(1, len(made) // rows)][:rows]
    lines = [torch.cat([r.source, r.driving, r.drawn, r.answer], -1) for r in chosen]
    sheet = (torch.cat(lines, -2).permute(1, 2, 0).numpy() * 255.0).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), sheet[..., ::-1])


def motion_curves(subjects: list[Subject], made: Pairing, folder: Path) -> None:
    """Lip aperture and yaw, generated over true, one row a clip -> curves.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(subjects), 2, figsize=(14, 2.6 * len(subjects)), squeeze=False)
    for row, (subject, motion) in enumerate(zip(made.subjects, made.motions, strict=False)):
        if row == len(subjects):
            break
        left, right = axes[row]
        left.plot(subject.aperture, "k", label="truth")
        left.plot(subject.lips(motion), "r", label="generated")
        left.set_ylabel(subject.clip.id)
        right.plot(subject.clip.motion.pose.rotation[:, 1], "k")
        right.plot(motion.pose.rotation[:, 1], "r")
    axes[0][0].set_title("lip aperture (canonical units)")
    axes[0][1].set_title("yaw (degrees)")
    axes[0][0].legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=80)
    pyplot.close(figure)
