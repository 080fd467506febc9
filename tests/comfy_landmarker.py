"""Run by ComfyUI's Python in a checkout of it: weights for its MediaPipe landmarker that always find the same face.

``comfy_landmarker.py POINTS OUT``: POINTS, an .npy of the 478 points (x, y) of a 512 x 512 picture, are what it will
find; OUT is the safetensors file that its loader reads. Every weight is zero, so the biases speak.
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.getcwd())  # ComfyUI's, as when main.py is run

import numpy as np  # noqa: E402
import torch  # noqa: E402
from comfy_extras.mediapipe.face_landmarker import FaceLandmarker  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

#: The detector's input in pixels, the box in pictures across (so wide that the boxes of all anchors are one about the
#: centre), the pictures across that the mesh sees of it, and the mesh's input in pixels.
INPUT, BOX, SEEN, MESH = 128, 8, 1.5, 192
PARTS = ("face_oval", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow", "lips", "irises", "nose")
points = torch.from_numpy(np.load(sys.argv[1])).float()
state = {key: torch.zeros_like(value) for key, value in FaceLandmarker(detector_variant="short").state_dict().items()}
for head in ("detector.reg_16.bias", "detector.reg_8.bias"):
    state[head].view(-1, 16)[:, 2:4] = BOX * INPUT
mesh = torch.cat([MESH / 2 + (points - 256) * MESH / (512 * BOX * SEEN), torch.zeros(len(points), 1)], 1)
state["mesh.head_landmarks.bias"] = mesh.flatten()
state = {key.replace("detector.", "detector_short."): value for key, value in state.items()}
state["canonical_vertices"] = torch.randn(468, 3, generator=torch.Generator().manual_seed(0))
state["procrustes_indices"] = torch.arange(0, 330, 10, dtype=torch.int32)
state["procrustes_weights"] = torch.ones(33)
state |= {f"topology.{part}": torch.tensor([[0, 1]], dtype=torch.int32) for part in PARTS}
save_file(state, sys.argv[2])
