"""The prepared room: the same W and G, arranged for speed. The plain modules stay the truth; a test compares them.

:func:`prepared` makes of a face model one whose W and G are these, with everything that is constant folded in. It is
made for the weights, the device and the dtype that the model has at that moment, and is not for training.
"""

from __future__ import annotations

import copy
import logging
from weakref import WeakKeyDictionary

import psutil
import torch
from torch import nn

from ..model import FaceModel
from ..warping import DenseMotion
from .bilinear import WINOGRAD, Convolution, Direct
from .folding import Kernel, kernel_of
from .generator import PreparedGenerator
from .spectrum import TILE, Spectrum
from .warping import PreparedWarping, Straight

#: From plain to fast. "structure" costs no memory; "transforms" keeps four times the weights and the spectra of a few.
PROFILES = ("plain", "structure", "transforms")
#: Fewer channel pairs per channel than this, and Winograd's transforms cost what they save (measured on AVX2).
WORTH_TRANSFORMING = 60
#: A Fourier transform pays for kernels at least so wide.
WIDE_KERNEL = 5
#: Memory that "transforms" takes, as a multiple of the weights of W and G, and the share of what is free it may take.
EXTRA_MEMORY, SHARE_OF_MEMORY = 4, 0.5
log = logging.getLogger(__name__)


_made: WeakKeyDictionary[FaceModel, tuple[object, FaceModel]] = WeakKeyDictionary()


def prepared(face: FaceModel, profile: str = "auto") -> FaceModel:
    """:func:`prepare`, made once and kept as long as ``face`` lives and its weights do not change."""
    profile = suitable(face) if profile == "auto" else profile
    stamp = (profile, *[(p.data_ptr(), 0 if p.is_inference() else p._version) for p in face.state_dict().values()])
    kept = _made.get(face)
    if kept is None or kept[0] != stamp:
        _made.pop(face, None)  # before the next is made: both together may not fit
        kept = (stamp, prepare(face, profile))
        if kept[1] is not face:  # kept as the value of its own key, it would live for ever
            _made[face] = kept
    return kept[1]


def suitable(face: FaceModel) -> str:
    """The profile for where ``face`` is: "transforms" on a CPU with memory to spare, "structure" on one without.

    Elsewhere "plain": nobody has measured the others on an accelerator yet.
    """
    weight = next(face.generator.parameters())
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
        return "plain"
    parts = (face.warping, face.generator)
    needed = EXTRA_MEMORY * sum(p.numel() * p.element_size() for part in parts for p in part.parameters())
    return "transforms" if needed < SHARE_OF_MEMORY * psutil.virtual_memory().available else "structure"


def prepare(face: FaceModel, profile: str) -> FaceModel:
    """``face`` with W and G arranged as ``profile`` says (one of PROFILES); F, M and S are the same objects.

    What is not published stays plain: a model that carries its picture, and a part of unknown children.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be auto or one of {', '.join(PROFILES)}, got {profile!r}.")
    if profile == "plain" or face.config.carry_picture or face.config.turn_candidates or face.config.body_candidate:
        return face
    made = copy.copy(face)
    # A module keeps its parts in this dict; a shallow copy would share it with the original.
    made._modules = dict(face._modules)
    choose = direct if profile == "structure" else quickest
    if unknown := _unknown_parts(face.generator, GENERATOR_PARTS | set(face.generator.middle)):
        log.info("G stays plain: its prepared form does not know %s", sorted(unknown))
    else:
        made._modules["generator"] = PreparedGenerator(face.generator, lambda kernel: choose(kernel, True))
    if unknown := _unknown_parts(face.warping.dense_motion_network, DENSE_PARTS):
        log.info("W stays plain: its prepared form does not know %s", sorted(unknown))
    else:
        read = spectrum if profile == "transforms" and _by_spectrum(face) else Straight
        made._modules["warping"] = PreparedWarping(face.warping, face.config.volume_depth, choose, read)
    return made


GENERATOR_PARTS = {"fc", "up_0", "up_1", "conv_img"}
DENSE_PARTS = {"hourglass", "mask", "compress", "norm", "occlusion"}


def _unknown_parts(module: nn.Module, known: set[str]) -> set[str]:
    return {name for name, _ in module.named_children()} - known


def direct(kernel: Kernel, _divides: bool) -> Direct:
    """The plain convolution."""
    return Direct(kernel.weight, kernel.bias)


def quickest(kernel: Kernel, divides: bool) -> Convolution | Direct:
    """Winograd's where the map's sides divide by four and there are channels enough."""
    outside, inside, taps = *kernel.weight.shape[:2], kernel.weight[0, 0].numel() // 9
    if divides and taps * inside * outside / (inside + outside) >= WORTH_TRANSFORMING:
        return Convolution(kernel.weight, kernel.bias, WINOGRAD)
    return direct(kernel, divides)


def spectrum(dense: DenseMotion, depth: int) -> Spectrum:
    """Mask and occlusion by Fourier transform."""
    return Spectrum(kernel_of(dense.mask), kernel_of(dense.occlusion), depth)


def _by_spectrum(face: FaceModel) -> bool:
    """Whether the kernels are wide, of one width, and every map divides into tiles."""
    config = face.config
    return config.mask_kernel == config.occlusion_kernel >= WIDE_KERNEL and 2**config.hourglass_levels % TILE == 0
