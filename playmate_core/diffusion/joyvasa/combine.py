"""Apply JoyVASA's motion to a portrait: relative to its first frame, lips absolute (docs/motion_models.md 4.8).

Converts JoyVASA's motion to the portrait's motion, in degrees.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ...geometry import carried_rotation
from ...values import LIP_KEYPOINTS, Motion

COMBINED_REGIONS = ("all", "expression", "pose", "lips", "eyes")


def combine(rest: Motion, driving: Motion, first: Motion, region: str = "all", subject: str = "human") -> Motion:
    """``driving`` (T frames) applied to ``rest`` relative to the generated frame ``first``; both are one frame.

    ``region``: "expression" keeps the portrait's head rotation, "pose" its expression, "lips" drives only the lips,
    "eyes" neither rotation nor expression; scale and translation follow in all of them. An "animal" keeps its scale,
    and its lips are relative too.
    """
    frames = len(driving)
    pose = driving.pose
    turned = carried_rotation(pose.rotation, first.pose.rotation, rest.pose.rotation)
    translation = rest.pose.translation + pose.translation - first.pose.translation
    scale = rest.pose.scale * pose.scale / first.pose.scale
    if subject == "animal":
        scale = rest.pose.scale.expand(frames, 1).clone()
    if region not in ("all", "pose"):
        turned = rest.pose.rotation.expand(frames, 3).clone()
    expression = rest.expression + driving.expression - first.expression
    lips = torch.zeros(expression.shape[1], dtype=torch.bool)
    lips[list(LIP_KEYPOINTS)] = True
    if region == "lips":
        expression = torch.where(lips[:, None], expression, rest.expression)
    elif region in ("pose", "eyes"):
        expression = rest.expression.expand_as(expression).clone()
    elif subject == "human":
        expression = torch.where(lips[:, None], driving.expression, expression)
    return Motion(replace(pose, rotation=turned, translation=translation, scale=scale), expression)
