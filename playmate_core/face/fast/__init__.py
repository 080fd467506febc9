"""Optimised inference implementations of W and G; tests compare them with the reference modules.

:func:`cached_fast_face` returns a face model with optimised W and G, with all constants folded in. It is valid for the
weights, device and dtype that the model has at that moment, and cannot be trained.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from functools import partial
from weakref import WeakKeyDictionary

import psutil
import torch
from torch import nn

from ..model import FaceModel
from ..warping import DenseMotion
from .conv_plan import ConvImpl, ConvPlan
from .fft_conv import TILE, FFTConv
from .folding import Kernel, kernel_of
from .generator import FastGenerator
from .half_precision import PhaseConv, Precision, volumes_are_slow
from .products import PLANS, ProductPlan
from .split_conv import SplitChannelConv
from .trial import WORTH, Trial, trial_of
from .warping import DirectMasks, FastWarping
from .winograd import AFTER_UPSAMPLED_4, UPSAMPLED_2, UPSAMPLED_4, WINOGRAD, Algorithm, TorchConv, WinogradConv

#: Increasingly fast. "structure" needs no extra memory; "transforms" keeps four times the weights and some spectra;
#: "half" multiplies in half precision and is the only one that differs from "plain" by more than float32 rounding.
PROFILES = ("plain", "structure", "transforms", "half")
#: Below this many channel pairs per channel, Winograd's transforms cost as much as they save (measured on AVX2).
WORTH_TRANSFORMING = 60
#: Kernel width from which a Fourier transform is faster.
WIDE_KERNEL = 5
#: Memory of "transforms" as a multiple of the weights of W and G, and the share of free memory it may use.
EXTRA_MEMORY, SHARE_OF_MEMORY = 4, 0.5
log = logging.getLogger(__name__)


_made: WeakKeyDictionary[FaceModel, tuple[object, FaceModel]] = WeakKeyDictionary()


def cached_fast_face(face: FaceModel, profile: str = "auto") -> FaceModel:
    """:func:`build_fast_face`, cached until ``face`` is garbage-collected or its weights change."""
    profile = choose_profile(face) if profile == "auto" else profile
    stamp = (profile, *[(p.data_ptr(), 0 if p.is_inference() else p._version) for p in face.state_dict().values()])
    kept = _made.get(face)
    if kept is None or kept[0] != stamp:
        _made.pop(face, None)  # before building the next: both together may not fit in memory
        kept = (stamp, build_fast_face(face, profile))
        if kept[1] is not face:  # as the value of its own key it would never be collected
            _made[face] = kept
    return kept[1]


def release(face: FaceModel) -> None:
    """Drop the cached model of ``face`` to free its memory, which on a GPU the host cannot unload."""
    _made.pop(face, None)


def choose_profile(face: FaceModel) -> str:
    """The profile for the device and dtype of ``face``.

    On a CPU "transforms" if there is enough free memory and :mod:`trial` found them faster, else "structure"; "half"
    for half-precision weights. On an accelerator "half" for those and "plain" for others: the float32 profiles were not
    measured there.
    """
    weight = next(face.generator.parameters())
    if torch.finfo(weight.dtype).bits < 32:
        return "half"
    if weight.device.type != "cpu":
        return "plain"
    parts = (face.warping, face.generator)
    needed = EXTRA_MEMORY * sum(p.numel() * p.element_size() for part in parts for p in part.parameters())
    free = psutil.virtual_memory().available
    if needed >= SHARE_OF_MEMORY * free:
        log.info("W and G: structure; transforms would take %.1f GB of %.1f GB free.", needed / 1e9, free / 1e9)
        return "structure"
    trial = _trial(face)
    if trial is not None and trial.ratio < WORTH:
        log.info("W and G: structure; on this processor transforms are %.2f times as fast.", trial.ratio)
        return "structure"
    log.info("W and G: transforms, which take %.1f GB of %.1f GB free.", needed / 1e9, free / 1e9)
    return "transforms"


def _trial(face: FaceModel) -> Trial | None:
    """The trial of the convolutions of G's middle blocks; None without a CPU or where it is switched off."""
    kernel = next((p for name, p in face.generator.named_parameters() if p.ndim == 4 and "conv_0" in name), None)
    if kernel is None or kernel.device.type != "cpu":
        return None
    return trial_of(len(kernel), face.config.image_size // 4, kernel.dtype)


def uses_half_precision(face: FaceModel, profile: str) -> bool:
    """Whether W and G compute in half precision under a profile or "auto"."""
    return profile == "half" or torch.finfo(next(face.generator.parameters()).dtype).bits < 32


def build_fast_face(face: FaceModel, profile: str) -> FaceModel:
    """``face`` with W and G optimised for ``profile`` (one of PROFILES); F, M and S are the same objects.

    Configurations that LivePortrait did not publish stay plain: models with ``carry_picture``, rotating or body
    candidates, and modules with unknown children. Raises ValueError for an unknown profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be auto or one of {', '.join(PROFILES)}, got {profile!r}.")
    if profile == "plain" or face.config.carry_picture or face.config.turn_candidates or face.config.body_candidate:
        return face
    made = copy.copy(face)
    # Modules are stored in this dict; a shallow copy would share it with the original.
    made._modules = dict(face._modules)
    plan = conv_plan_of(face, profile)
    if unknown := _unknown_parts(face.generator, GENERATOR_PARTS | set(face.generator.middle)):
        log.info("G stays plain: its prepared form does not know %s", sorted(unknown))
    else:
        made._modules["generator"] = FastGenerator(face.generator, plan)
    if unknown := _unknown_parts(face.warping.dense_motion_network, DENSE_PARTS):
        log.info("W stays plain: its prepared form does not know %s", sorted(unknown))
    else:
        made._modules["warping"] = FastWarping(face.warping, face.config.volume_depth, plan)
    return made


GENERATOR_PARTS = {"fc", "up_0", "up_1", "conv_img"}
DENSE_PARTS = {"hourglass", "mask", "compress", "norm", "occlusion"}


def _unknown_parts(module: nn.Module, known: set[str]) -> set[str]:
    return {name for name, _ in module.named_children()} - known


def conv_plan_of(face: FaceModel, profile: str) -> ConvPlan:
    """The convolution plan of a profile other than "plain"."""
    if profile == "half":
        return _halved(precision_of(face))
    trial = _trial(face)
    plan = PLANS[0] if trial is None else trial.plan
    upsampled = (_by(UPSAMPLED_2, plan), _by(UPSAMPLED_4, plan), _by(AFTER_UPSAMPLED_4, plan))
    if profile == "structure":
        return ConvPlan(direct_conv, direct_conv, *upsampled, DirectMasks)
    reading = partial(spectrum, plan=plan) if _by_spectrum(face) else DirectMasks
    return ConvPlan(direct_conv, partial(fastest_conv, plan=plan), *upsampled, reading)


def precision_of(face: FaceModel) -> Precision:
    """The half-precision dtypes: that of the model's weights, or the best one for its device."""
    weight = next(face.generator.parameters())
    on_cpu, half = weight.device.type == "cpu", torch.finfo(weight.dtype).bits < 32
    products = weight.dtype if half else torch.bfloat16 if on_cpu else torch.float16
    return Precision(products, torch.float32 if on_cpu else products, volumes_are_slow(weight.device))


def _halved(precision: Precision) -> ConvPlan:
    """The plan of profile "half": half-precision convolutions, fused with the upsampling before them."""

    def plain(kernel: Kernel) -> ConvImpl:
        return precision.convolution(kernel.weight, kernel.bias)

    doubled, quadrupled = (partial(PhaseConv, up=up, precision=precision) for up in (2, 4))
    reading = partial(DirectMasks, mask=precision.convolution, occlusion=precision.convolution)
    return ConvPlan(plain, plain, doubled, quadrupled, plain, reading, precision.products, precision.maps)


def direct_conv(kernel: Kernel) -> TorchConv:
    """PyTorch's convolution; in 2-D with split sums for accuracy, which for 3-D, with fewer channels, would be slow."""
    return (SplitChannelConv if kernel.weight.ndim == 4 else TorchConv)(kernel.weight, kernel.bias)


def fastest_conv(kernel: Kernel, plan: ProductPlan = PLANS[0]) -> WinogradConv | TorchConv:
    """Winograd's algorithm where there are enough channels, else PyTorch's convolution."""
    outside, inside, taps = *kernel.weight.shape[:2], kernel.weight[0, 0].numel() // 9
    if taps * inside * outside / (inside + outside) >= WORTH_TRANSFORMING:
        return _by(WINOGRAD, plan)(kernel)
    return direct_conv(kernel)


def _by(algorithm: Algorithm, plan: ProductPlan) -> Callable[[Kernel], WinogradConv]:
    return lambda kernel: WinogradConv(kernel.weight, kernel.bias, algorithm, plan)


def spectrum(dense: DenseMotion, depth: int, plan: ProductPlan = PLANS[0]) -> FFTConv:
    """Mask and occlusion convolutions by Fourier transform."""
    return FFTConv(kernel_of(dense.mask), kernel_of(dense.occlusion), depth, plan)


def _by_spectrum(face: FaceModel) -> bool:
    """Whether the Fourier transform applies: wide kernels of equal width, and maps divisible into tiles."""
    config = face.config
    return config.mask_kernel == config.occlusion_kernel >= WIDE_KERNEL and 2**config.hourglass_levels % TILE == 0
