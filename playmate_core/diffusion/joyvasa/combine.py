"""Generated motion laid on a portrait: all that changed since its start, lips as they are (docs/motion_models.md 4.8).

This is where JoyVASA's motion becomes the portrait's own, in degrees.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ...geometry import carried_rotation
from ...values import LIP_KEYPOINTS, Motion

COMBINED_REGIONS = ("all", "expression", "pose", "lips", "eyes")


def combine(rest: Motion, driving: Motion, first: Motion, region: str = "all", subject: str = "human") -> Motion:
    """``driving`` (T frames) on a portrait's ``rest``, relative to the generated frame ``first``; one frame each.

    ``region``: "expression" leaves the turn of the head, "pose" the face, "lips" moves but the lips, "eyes" none of
    both; size and place follow in all of them. An "animal" keeps its size, and its lips move relatively too.
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
