"""Pillow's limit on pictures, which it takes for an attack above 179 million pixels: a person's own may be larger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def of_any_size() -> Iterator[None]:
    """Open pictures of any number of pixels; nothing is decoded by opening."""
    from PIL import Image

    trusted, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = trusted
