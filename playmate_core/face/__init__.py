"""The face networks: appearance, motion, warping, generator, stitching. One file per network, one config for all."""

from __future__ import annotations

from .config import FaceConfig
from .model import FaceModel
from .motion import FaceReading
from .warping import Warped

__all__ = ["FaceConfig", "FaceModel", "FaceReading", "Warped"]
