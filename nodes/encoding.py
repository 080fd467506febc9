"""Widgets of what a video is saved as, and of how a face is put back into its picture."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..playmate_core.detection.paste_options import PASTE_SHAPES, PasteOptions
from ..playmate_core.errors import UserError
from ..playmate_core.media.video_formats import VIDEO_FORMATS, format_named
from ..playmate_core.media.video_options import ALPHAS, VideoOptions
from ..playmate_core.motion.edit import resample_motion
from ..playmate_core.pipelines.portrait_picture import shown_mask
from ..playmate_core.rendering.video_portrait import video_of
from ..playmate_core.rendering.write_video import Composition
from ..playmate_core.values import Motion, Portrait
from . import sockets

#: A VIDEO is one file, so folders of pictures are left to Save Image.
CODECS = tuple(row.name for row in VIDEO_FORMATS if "" not in row.suffixes)
MASK_TOOLTIP = (
    "White where the face may show in the whole picture, which it must be as large as. It limits the built-in mask: the"
    " lower of the two counts."
)


def crf_input() -> Any:
    return io.Int.Input(
        "crf",
        default=VideoOptions().crf,
        min=0,
        max=51,
        tooltip="Quality: lower is better and larger; 18 looks lossless.",
        **sockets.advanced(io.Int.Input),
    )


def encoding_inputs() -> list[Any]:
    """Codec, rate, ping-pong and transparency of a saved video."""
    return [
        sockets.Choice(
            "codec",
            options=list(CODECS),
            default=CODECS[0],
            tooltip="h264 and hevc: .mp4. prores: 4444 in .mov, with transparency. vp9: .webm, with transparency. gif:"
            " without sound.",
            **sockets.advanced(io.Combo.Input),
        ),
        io.Float.Input(
            "video_fps",
            default=0.0,
            min=0.0,
            max=240.0,
            step=0.01,
            tooltip="Frames a second; 0 is the motion's own rate, 25. The motion is interpolated between its frames and"
            " each new frame is drawn, so 50 is smoother and takes twice as long.",
            **sockets.advanced(io.Float.Input),
        ),
        io.Boolean.Input(
            "ping_pong",
            default=False,
            tooltip="Play the frames there and back, so that the video loops. The sound plays once, forwards.",
            **sockets.advanced(io.Boolean.Input),
        ),
        sockets.Choice(
            "alpha",
            options=list(ALPHAS),
            default=VideoOptions().alpha,
            tooltip="Transparency of the portrait's picture. auto: kept where the codec holds it. keep: stop with a"
            " message where it cannot be. none: leave its background.",
            **sockets.advanced(io.Combo.Input),
        ),
    ]


def paste_inputs() -> list[Any]:
    """Shape and feather of the mask of a pasted face."""
    options = PasteOptions()
    return [
        io.Float.Input(
            "feather",
            default=options.feather,
            min=0.0,
            max=16.0,
            step=0.05,
            tooltip="How wide the face fades at its edge, and at that of the mask: 1 is 16 pixels of a crop of 512 (26"
            " for ditto), 0 a hard edge.",
            **sockets.advanced(io.Float.Input),
        ),
        sockets.Choice(
            "mask_shape",
            options=list(PASTE_SHAPES),
            default=options.shape,
            tooltip="Whose built-in mask to take.",
            **sockets.advanced(io.Combo.Input),
        ),
    ]


def composition(
    portrait: Portrait, pasted: bool, mask: Tensor | None, feather: float, shape: str, encoding: VideoOptions
) -> Composition:
    """What a frame shows. Raises UserError for a mask of another size, and for alpha that cannot be kept."""
    kept = encoding.keeps_alpha(format_named(encoding.codec or CODECS[0]), portrait.transparency is not None)
    return Composition(pasted, paste_weights(portrait, mask, PasteOptions(shape, feather)) if pasted else None, kept)


def paste_weights(portrait: Portrait, mask: Tensor | None, paste: PasteOptions) -> Any:
    """The mask of the crop (S, S) uint8, from a MASK or the built-in one. Raises UserError for another size."""
    if mask is None:
        return paste.border(portrait.crop_size)
    if video_of(portrait):
        raise UserError("A mask is for one picture, and this portrait is a video whose face moves; unplug the mask.")
    mask = mask.detach().cpu().float()
    mask = mask[None] if mask.ndim == 2 else mask
    height, width = portrait.image.shape[:2]
    if tuple(mask.shape) != (1, height, width):
        raise UserError(
            f"The mask holds {len(mask)} of {mask.shape[2]} x {mask.shape[1]}, and the portrait's picture is {width} x"
            f" {height}; please give one mask of that size."
        )
    return shown_mask(mask[0], portrait, paste)


def at_rate(motion: Motion, fps: float) -> Motion:
    """``motion`` at the rate of a widget, 0 its own."""
    return resample_motion(motion, fps) if fps and abs(fps - motion.fps) > 1e-6 else motion


def suffix_of(codec: str) -> str:
    """The suffix of a saved video."""
    return format_named(codec).suffixes[0]
