"""Evaluation networks for `python -m training evaluate --videos`; the user provides their files."""

from __future__ import annotations

from dataclasses import replace

from .model_file import NON_COMMERCIAL, ModelFile, ModelSet

#: The networks of the paper's metrics; metrics whose files are missing are skipped.
_JUDGE = ModelFile("evaluation", "", "")
JUDGES = ModelSet(
    "evaluation",
    "the networks of FID, FVD, Sync-C/D, CSIM, LPIPS and Emo-A, for `python -m training evaluate --videos`",
    (
        replace(
            _JUDGE,
            name="pt_inception-2015-12-05-6726825d.pth",
            license="Apache-2.0 (TensorFlow's Inception, ported)",
            address="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
            size=95_628_359,
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        ),
        replace(
            _JUDGE,
            name="i3d_pretrained_400.pt",
            license="Apache-2.0 (DeepMind's I3D, ported)",
            address="https://huggingface.co/spaces/LanguageBind/Open-Sora-Plan-v1.0.0/resolve/"
            "810fa8c4bdb3a4c8eec9bd57375c29bde6fb46de/opensora/eval/fvd/videogpt/i3d_pretrained_400.pt",
            about=51_000_000,
        ),
        replace(
            _JUDGE,
            name="syncnet_v2.model",
            license="stated for research by VGG, Oxford; the code is MIT",
            address="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
            size=54_573_114,
            sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        ),
        replace(
            _JUDGE,
            folder="insightface",
            name="models/buffalo_l/w600k_r50.onnx",
            license=NON_COMMERCIAL,
            address="https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip",
            size=174_383_860,
            sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        ),
        replace(
            _JUDGE,
            name="alexnet-owt-7be5be79.pth",
            license="BSD-3-Clause (torchvision); trained on ImageNet",
            address="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            size=244_408_911,
            sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ),
        replace(
            _JUDGE,
            name="enet_b0_8_best_vgaf.onnx",
            license="Apache-2.0 (hsemotion); trained on AffectNet",
            address="https://github.com/av-savchenko/hsemotion-onnx/raw/bd500bd3a685013d18883c349e8940d020cacd98/"
            "models/affectnet_emotions/onnx/enet_b0_8_best_vgaf.onnx",
            about=16_000_000,
        ),
    ),
)
