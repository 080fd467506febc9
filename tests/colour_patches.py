"""Patches of known colours, and pictures with colour profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SKIN = (225, 173, 148)


COLOURS = (
    SKIN,
    (255, 255, 255),
    (0, 0, 0),
    (128, 128, 128),
    (200, 40, 40),
    (40, 160, 60),
    (30, 60, 190),
    (250, 220, 60),
)


def patches(height: int, width: int) -> NDArray[np.uint8]:
    """The eight colours side by side."""
    return np.repeat(np.array(COLOURS, np.uint8)[None], height, 0).repeat(width // 8, 1)


def seen(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean colour of the middle of each patch."""
    height, width = picture.shape[:2]
    columns = picture[height // 4 : -(height // 4)].reshape(height - 2 * (height // 4), 8, width // 8, 3)
    return columns[:, :, width // 32 : -(width // 32)].mean((0, 2))


def linear(code: Any) -> Any:
    code = np.asarray(code, float) / 255
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def p3_profile() -> bytes:
    """A matrix profile with the primaries of Display P3 and the curve of sRGB, as small as the format allows."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    columns = {
        b"rXYZ": (0.51512, 0.2412, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.1571, 0.06657, 0.78407),
    }
    for index in range(int.from_bytes(profile[128:132], "big")):
        entry = profile[132 + 12 * index : 144 + 12 * index]
        if bytes(entry[:4]) in columns:
            at = int.from_bytes(entry[4:8], "big") + 8
            fixed = b"".join(round(v * 65536).to_bytes(4, "big", signed=True) for v in columns[bytes(entry[:4])])
            profile[at : at + 12] = fixed
    return bytes(profile)


def in_p3(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    to_p3 = np.linalg.inv([[1.22494, -0.22494, 0], [-0.042057, 1.042057, 0], [-0.019638, -0.078636, 1.098274]])
    light = (linear(picture) @ to_p3.T).clip(0, 1)
    return np.round(255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)).astype(
        np.uint8
    )


def save_with_profile(path: Path, picture: NDArray[np.uint8], profile: bytes | None, mode: str = "RGB") -> Path:
    from PIL import Image

    image = Image.fromarray(picture if mode == "RGB" else picture[..., 0])
    image.save(path, icc_profile=profile, **({"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {}))
    return path
