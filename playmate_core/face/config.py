"""The configuration of the five face networks."""

from __future__ import annotations

from dataclasses import dataclass

from ..keypoint_space import PLAYMATE_DEMO
from ..values import KEYPOINTS


@dataclass(frozen=True)
class FaceConfig:
    """Sizes of the face networks; the defaults are LivePortrait's, key for key and shape for shape.

    Fully convolutional: any picture whose side is a multiple of ``appearance_stride`` times ``2 ** hourglass_levels``
    works; ``image_size`` is the size used in training. The output is twice as wide.
    """

    keypoints: int = KEYPOINTS
    image_size: int = 256
    # F, appearance
    appearance_expansion: int = 64
    appearance_downs: int = 2
    appearance_max: int = 512
    appearance_blocks: int = 6
    volume_channels: int = 32
    volume_depth: int = 16
    # M, motion: ConvNeXt V2
    motion_depths: tuple[int, ...] = (3, 3, 9, 3)
    motion_widths: tuple[int, ...] = (96, 192, 384, 768)
    motion_backbone: str = "convnext"  # published; "two-looks" (coarse to fine) trains on little data
    # W, warping
    compress_channels: int = 4
    hourglass_expansion: int = 32
    hourglass_levels: int = 5
    hourglass_max: int = 1024
    mask_kernel: int = 7
    occlusion_kernel: int = 7
    warped_channels: int = 256
    # G, generator
    generator_middle: int = 512
    generator_blocks: int = 6
    generator_up_0: int = 256
    generator_up_1: int = 64
    #: Channels of an extra stage at half of the full size that reads the canvas again. 0, published: no such stage.
    generator_fine: int = 0
    spade_hidden: int = 128
    spectral_norm: bool = True
    #: The volume also contains the source picture; W warps it by the flow of the visible surface, and G blends it into
    #: its output and gets keypoint heatmaps (`canvas`). Not published.
    carry_picture: bool = False
    #: F, W and G work on a picture downscaled by this factor; G's output keeps the full size.
    shrink: int = 1
    #: Every candidate motion of W includes the common rotation and scale of the keypoints, as in face-vid2vid.
    #: Published: translations only.
    turn_candidates: bool = False
    #: One more candidate motion for the body, which translates and scales with the head but does not rotate. Not
    #: published.
    body_candidate: bool = False
    # S, stitching and retargeting
    with_stitching: bool = True
    #: What ``image_size`` was when M was trained, where F, W and G have gone on at another one. 0: the same.
    reader_size: int = 0
    #: M's keypoint space; files without the field were trained on our procedural corpus.
    keypoint_space: str = PLAYMATE_DEMO

    def __post_init__(self) -> None:
        # JSON has no tuples; a config read back from a checkpoint must still be hashable and equal.
        object.__setattr__(self, "motion_depths", tuple(self.motion_depths))
        object.__setattr__(self, "motion_widths", tuple(self.motion_widths))
        if len(self.motion_depths) != len(self.motion_widths):
            raise ValueError(
                f"motion_depths and motion_widths must be equally long, got {len(self.motion_depths)} and "
                f"{len(self.motion_widths)}."
            )
        if self.motion_backbone not in ("convnext", "two-looks"):
            raise ValueError(f"motion_backbone must be convnext or two-looks, got {self.motion_backbone!r}.")
        if (self.shrink > 1 or self.generator_fine) and not self.carry_picture:
            raise ValueError(
                f"shrink is {self.shrink} and generator_fine {self.generator_fine}, expected 1 and 0 where no picture "
                "is carried."
            )
        if self.picture_channels % self.volume_depth:
            raise ValueError(
                f"A carried picture fills {self.picture_channels} channels, which volume_depth {self.volume_depth} "
                "must divide."
            )
        if self.mask_kernel % 2 == 0 or self.occlusion_kernel % 2 == 0:
            raise ValueError(f"Kernels must be odd, got {self.mask_kernel} and {self.occlusion_kernel}.")

    @property
    def appearance_stride(self) -> int:
        """Picture pixels per feature pixel."""
        return 2**self.appearance_downs

    @property
    def first_look(self) -> int:
        """Side of the picture in which M finds the head."""
        return self.reader_size or self.image_size

    @property
    def reading_size(self) -> int:
        """Side of M's input pictures: ``first_look``, or twice that for the coarse-to-fine extractor."""
        return self.first_look * (2 if self.motion_backbone == "two-looks" else 1)

    @property
    def fold(self) -> int:
        """Input pixels per feature pixel, along each axis."""
        return self.appearance_stride * self.shrink

    @property
    def picture_channels(self) -> int:
        """Channels of the picture when it is pixel-unshuffled to the feature grid; 0 without ``carry_picture``."""
        return 3 * self.fold**2 if self.carry_picture else 0

    @property
    def label_channels(self) -> int:
        """Channels of W's output to G: features, and with ``carry_picture`` the warped and the original picture."""
        return self.warped_channels + (6 * self.appearance_stride**2 if self.carry_picture else 0)

    @property
    def mark_channels(self) -> int:
        """Channels of G's keypoint heatmaps."""
        return self.keypoints if self.carry_picture else 0

    @property
    def folded_channels(self) -> int:
        """Channels of a volume with its depth folded into them."""
        return self.volume_channels * self.volume_depth

    @property
    def candidates(self) -> int:
        """Number of candidate motions of a voxel: identity, one per keypoint, and optionally the body's."""
        return self.keypoints + 1 + self.body_candidate

    @classmethod
    def small(cls) -> FaceConfig:
        """The model this repository trains: 128 pixels in, 256 out, 16x16 features; also runs on 64 in, 128 out."""
        return cls(
            image_size=128,
            appearance_expansion=24,
            appearance_max=96,
            appearance_blocks=3,
            volume_channels=12,
            volume_depth=8,
            motion_depths=(1, 1, 1, 1),
            motion_widths=(24, 48, 96, 160),
            motion_backbone="two-looks",
            compress_channels=1,
            hourglass_expansion=12,
            hourglass_levels=3,
            hourglass_max=96,
            mask_kernel=3,
            warped_channels=48,
            carry_picture=True,
            shrink=2,
            turn_candidates=True,
            body_candidate=True,
            generator_middle=64,
            generator_blocks=4,
            generator_up_0=48,
            generator_up_1=24,
            generator_fine=24,
            spade_hidden=16,
            spectral_norm=False,
            with_stitching=False,
        )

    @classmethod
    def tiny(cls) -> FaceConfig:
        """A model for tests, milliseconds on a CPU: 32 pixels in, 64 out, with every kind of layer."""
        return cls(
            image_size=32,
            appearance_expansion=4,
            appearance_max=16,
            appearance_blocks=1,
            volume_channels=4,
            volume_depth=4,
            motion_depths=(1, 1, 1, 1),
            motion_widths=(8, 8, 8, 8),
            compress_channels=2,
            hourglass_expansion=4,
            hourglass_levels=2,
            hourglass_max=16,
            mask_kernel=3,
            occlusion_kernel=3,
            warped_channels=8,
            generator_middle=8,
            generator_blocks=1,
            generator_up_0=8,
            generator_up_1=4,
            spade_hidden=4,
        )
