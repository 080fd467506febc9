"""Write pictures as a folder of PNG files, each with the metadata of the whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..atomic_file import temporary_name
from .input_files import Bytes
from .provenance import Mark

#: FFmpeg's pattern for the names; the first is number 1.
PATTERN = "frame_%06d.png"
#: Where XMP stands in a PNG, by Adobe's XMP specification part 3.
XMP_KEY = "XML:com.adobe.xmp"


def write_pngs(
    folder: Path, pictures: Iterator[Bytes], tags: dict[str, str] | None = None, mark: Mark | None = None
) -> int:
    """Write pictures (H, W, 3 or 4) uint8 into ``folder``, which is new or empty and gets its name when all are
    written; returns their number."""
    from PIL import Image, PngImagePlugin

    told = PngImagePlugin.PngInfo()
    for key, text in (tags or {}).items():
        told.add_itxt(key, text)
    if mark:
        told.add_itxt(XMP_KEY, mark.packet().decode())
    temporary, count = temporary_name(folder, "parts"), 0
    temporary.mkdir()
    try:
        for picture in pictures:
            count += 1
            Image.fromarray(picture).save(temporary / (PATTERN % count), pnginfo=told, compress_level=4)
        if folder.is_dir():
            folder.rmdir()
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return count
