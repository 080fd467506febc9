"""Convert pictures with an ICC profile (Display P3 from phones, CMYK for print) to sRGB."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .input_files import Bytes

#: A profile that changes no colour by more levels than this is treated as sRGB.
_SAME = 1
log = logging.getLogger(__name__)


def embedded_profile(content: bytes) -> bytes | None:
    """The ICC profile of a JPEG, PNG, WebP or TIFF; None where there is none."""
    image = _opened(content)
    return None if image is None else image.info.get("icc_profile")


def to_srgb(picture: Bytes, profile: bytes, path: Path) -> Bytes:
    """(H, W, 3) uint8 whose colours ``profile`` describes -> sRGB; unchanged, with a warning, where it is damaged."""
    from PIL import Image, ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space not in ("RGB", "GRAY"):  # CMYK was converted when it was decoded
            return picture
        mode = "RGB" if space == "RGB" else "L"
        transform = _transform(source, mode)
        if mode == "RGB":
            probe = np.stack(np.meshgrid(*[np.linspace(0, 255, 9)] * 3), -1).reshape(1, -1, 3).round().astype(np.uint8)
            seen = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), transform))
            if np.abs(seen.astype(int) - probe).max() <= _SAME:
                return picture
        image = Image.fromarray(picture if mode == "RGB" else np.ascontiguousarray(picture[..., 0]))
        return np.array(ImageCms.applyTransform(image, transform))
    except (ImageCms.PyCMSError, OSError, ValueError) as problem:
        log.warning("The colour profile of %s cannot be read (%s); its colours are taken for sRGB.", path, problem)
        return picture


def decode_cmyk(content: bytes) -> Bytes | None:
    """A CMYK picture with a profile as upright sRGB; None for any other picture."""
    from PIL import ImageCms, ImageOps

    image = _opened(content)
    if image is None or image.mode != "CMYK" or not image.info.get("icc_profile"):
        return None
    try:
        transform = _transform(ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])), "CMYK")
        converted: Any = ImageCms.applyTransform(image, transform)
        return np.asarray(ImageOps.exif_transpose(converted) or converted)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _transform(source: Any, mode: str) -> Any:
    from PIL import ImageCms

    target = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, target, mode, "RGB", ImageCms.Intent.PERCEPTUAL)


def _opened(content: bytes) -> Any:
    """The picture opened by Pillow, pixels not yet decoded; None for formats unknown to it."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size was checked already
            return Image.open(io.BytesIO(content))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
