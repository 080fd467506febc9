"""Read Ditto's configuration pickle: settings, and arrays stored only there (docs/motion_models.md 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..diffusion.ditto.controls import ANGLES, Drive
from ..diffusion.ditto.layout import COLUMNS, BinnedMotion
from ..diffusion.ditto.settings import DittoData, DittoSettings
from ..diffusion.ditto.source import SourceFace
from ..errors import UserError
from ..values import KEYPOINTS
from .plain_pickle import PROBLEMS, array, is_array, mapping, unpickled

#: Ditto's names of motion parts and fade targets, mapped to ours.
_PARTS = {"exp": "expression", "t": "translation", "pitch": "pitch", "yaw": "yaw", "roll": "roll", "scale": "scale"}
_FADES = {"": "none", "d0": "first", "s": "source"}


def read_configuration(path: Path) -> tuple[DittoSettings, DittoData]:
    """Settings and data of a configuration file. Raises UserError for any other file."""
    try:
        content = mapping(unpickled(path.read_bytes()))
        run = mapping(content["default_kwargs"])
        return _settings(run), _data(run)
    except (*PROBLEMS, RuntimeError, OSError, UserError) as problem:
        raise UserError(
            f"{path.name} is not a configuration of Ditto's ({problem}); please download v0.4_hubert_cfg_pytorch.pkl"
            " again."
        ) from problem


def _settings(run: Mapping[str, Any]) -> DittoSettings:
    plain = DittoSettings()
    controls = run.get("overall_ctrl_info") or {}
    kept = run.get("fix_kp_cond_dim")
    eyes = run.get("drive_eye")
    return DittoSettings(
        run="online" if run.get("online_mode") else "offline",
        reset=int(run.get("fix_kp_cond") or 0),
        kept=None if kept is None else (int(kept[0]), int(kept[1])),
        smoothing=max(int(run.get("smo_k_d", plain.smoothing)), 1),
        mode="relative" if run.get("relative_d", True) else "absolute",
        drive=_drive(run.get("use_d_keys")),
        drive_eyes=plain.drive_eyes if eyes is None else bool(eyes),
        hold_eyes=bool(run.get("eye_f0_mode", False)),
        blinks=_blinks(run.get("delta_eye_open_n", plain.blinks)),
        gate=float(controls.get("vad_alpha", plain.gate)),
        offsets=_three(controls, "delta_", None),
        factors=_three(controls, "alpha_", 1.0),
        fade=_FADES[run.get("fade_type") or ""],
        fade_parts=tuple(_PARTS[name] for name in run.get("fade_out_keys") or ("exp",) if name != "kp"),
    )


def _data(run: Mapping[str, Any]) -> DittoData:
    emotions, table, limits = (run.get(name) for name in ("emo", "delta_eye_arr", "v_min_max_for_clip"))
    about = run.get("ch_info")
    plain = DittoData()
    return DittoData(
        emotions=_numbers(emotions, -1, 8) if is_array(emotions) else None,
        blink_table=None if table is None else _numbers(table, -1, KEYPOINTS, 3),
        limits=None if limits is None else _numbers(limits, -1, COLUMNS)[:2],
        character=None if about is None else _character(mapping(about)),
        steps=int(run.get("sampling_timesteps", plain.steps)),
        overlap=int(run.get("overlap_v2", plain.overlap)),
    )


def _character(about: Mapping[str, Any]) -> SourceFace:
    """The reference character: motion as a list of frames, one shape, eyes frame by frame."""
    frames = [mapping(frame) for frame in about["x_s_info_lst"]]
    scale, translation = _stacked(frames, "scale", 1), _stacked(frames, "t", 3)
    angles = torch.stack([_stacked(frames, name, -1) for name in ANGLES], 1)
    motion = BinnedMotion(scale, angles, translation, _stacked(frames, "exp", KEYPOINTS, 3))
    keypoints = _stacked(frames, "kp", KEYPOINTS, 3)
    if about.get("sc") is not None:
        keypoints[0] = _numbers(about["sc"], KEYPOINTS, 3)
    eyes, balls = (_listed(about[name], width) for name, width in (("eye_open_lst", 2), ("eye_ball_lst", 6)))
    return SourceFace(motion, keypoints, eyes, balls)


def _stacked(frames: list[Mapping[str, Any]], name: str, *shape: int) -> Tensor:
    return torch.stack([_numbers(frame[name], *shape) for frame in frames])


def _listed(value: Any, width: int) -> Tensor:
    rows = [value] if is_array(value) else list(value)
    return torch.cat([_numbers(row, -1, width) for row in rows])


def _numbers(value: Any, *shape: int) -> Tensor:
    made = torch.from_numpy(array(value).reshape(shape).copy())
    if not bool(made.isfinite().all()):
        raise ValueError("it holds NaN or infinite numbers")
    return made


def _drive(keys: Any) -> Drive:
    if keys is None:
        return Drive()
    shares = keys if isinstance(keys, dict) else dict.fromkeys(keys, 1.0)
    ours = {_PARTS[name]: float(share) for name, share in shares.items() if name != "scale"}
    return Drive(**{part: ours.get(part) for part in ("expression", *ANGLES, "translation")})


def _blinks(setting: Any) -> int | tuple[int, ...]:
    return tuple(int(n) for n in setting) if isinstance(setting, (list, tuple)) else int(setting)


def _three(controls: Mapping[str, Any], prefix: str, otherwise: Any) -> tuple[Any, Any, Any]:
    pitch, yaw, roll = (float(controls[k]) if (k := prefix + name) in controls else otherwise for name in ANGLES)
    return pitch, yaw, roll
