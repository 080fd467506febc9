"""HuBERT and wav2vec2 base models from a plain state dict: the configuration is inferred from tensor shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

#: Strides of the seven convolutions, which cannot be inferred from shapes: 320 samples make a token.
STRIDES = (5, 2, 2, 2, 2, 2, 2)
#: Width of an attention head, the same in every published size.
HEAD_WIDTH = 64
#: Keys of the weight-normalised convolution in older and in newer versions of torch.
_SPELLINGS = (
    ("conv.weight_g", "conv.parametrizations.weight.original0"),
    ("conv.weight_v", "conv.parametrizations.weight.original1"),
)

Shapes = Mapping[str, tuple[int, ...]]


def hubert_config(shapes: Shapes) -> Any:
    """The configuration of transformers whose network has these tensors. Raises ValueError for another family."""
    from transformers import HubertConfig

    kernels = [shapes[f"feature_extractor.conv_layers.{i}.conv.weight"] for i in range(len(STRIDES))]
    width = shapes["encoder.layer_norm.weight"][0]
    layers = {int(m[1]) for key in shapes if (m := re.match(r"encoder\.layers\.(\d+)\.", key))}
    place = next(shapes[key] for key in shapes if re.search(r"pos_conv_embed\.conv\..*(weight_v|original1)$", key))
    every = "feature_extractor.conv_layers.1.layer_norm.weight" in shapes
    if every or width % HEAD_WIDTH:
        raise ValueError(f"its width {width} and norms are not those of a base model of HuBERT")
    return HubertConfig(
        hidden_size=width,
        num_hidden_layers=len(layers),
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=shapes["encoder.layers.0.feed_forward.intermediate_dense.weight"][0],
        conv_dim=tuple(k[0] for k in kernels),
        conv_kernel=tuple(k[2] for k in kernels),
        conv_stride=STRIDES,
        conv_bias="feature_extractor.conv_layers.0.conv.bias" in shapes,
        num_conv_pos_embeddings=place[2],
        num_conv_pos_embedding_groups=place[0] // place[1],
        feat_extract_norm="group",
        do_stable_layer_norm=False,
    )


def make_hubert(shapes: Shapes) -> nn.Module:
    """An empty network on the meta device with these tensors. Raises ValueError or KeyError for another family.

    Wav2vec2's base model is the same network under the same names, so one class serves both.
    """
    from transformers import HubertModel

    with torch.device("meta"):
        return HubertModel(hubert_config(shapes)).train(False).requires_grad_(False)


def respelled(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` with the keys of the weight-normalised convolution renamed to those in ``wanted``."""
    renamed = dict(tensors)
    for old, new in _SPELLINGS:
        for key in tensors:
            for one, other in ((old, new), (new, old)):
                swapped = key.removesuffix(one) + other
                if key.endswith(one) and key not in wanted and swapped in wanted:
                    renamed[swapped] = renamed.pop(key)
    return renamed
