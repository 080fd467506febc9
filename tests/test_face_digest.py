"""A few numbers of the full-size face networks, so that a change of what they compute is seen on any machine.

``data/face_digest.json`` holds, under "golden", inputs and outputs of data/goldens computed by the reference
implementation (seed 2502, first row of each batch, with the tolerance stated there), and under "ours" what our networks
gave in double precision on small recipe inputs, at the commit where every golden tensor was matched (shown by
test_face_parity.py). ``python tests/test_face_digest.py PARITY_FOLDER`` makes the file again.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.geometry import degrees_from_bins, place, rotation_matrix

FILE = Path(__file__).parent / "data" / "face_digest.json"
SEED = 2502
#: Published names of the small networks; their weights' streams are named by these.
FLAT = {"stitching": "retarget_shoulder_module", "lip": "retarget_mouth_module", "eye": "retarget_eye_module"}
#: The last layers of those three move keypoints by hundredths.
SMALL = ("retarget_shoulder_module.mlp.6.", "retarget_mouth_module.mlp.6.", "retarget_eye_module.mlp.10.")


def stream(key: str, count: int) -> np.ndarray:
    """``count`` doubles in [-1, 1), the same on every machine: raw PCG64 under a seed that the key names."""
    seed = int.from_bytes(hashlib.sha256(f"{SEED}:{key}".encode()).digest(), "big")
    raw = np.asarray(np.random.PCG64(seed).random_raw(count), np.uint64)
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def drawn(key: str, *shape: int) -> Tensor:
    return torch.from_numpy(stream(key, math.prod(shape)).reshape(shape)).float()


def filled(net: nn.Module, prefix: str = "") -> nn.Module:
    """Weights from their names: of usual size for their fan-in, norms near one, sigma of spectral kernels near one."""
    values = {}
    for name, like in net.state_dict().items():
        key, shape, last = prefix + name, tuple(like.shape), name.rpartition(".")[2]
        gain = 0.06 if key.startswith(SMALL) else math.sqrt(2)
        value = torch.from_numpy(stream(key, math.prod(shape)).reshape(shape))
        if last == "num_batches_tracked":
            value = torch.zeros((), dtype=torch.int64)
        elif last in ("weight_u", "weight_v"):
            value = value / value.norm()
        elif last in ("bias", "beta", "running_mean"):
            value = value * math.sqrt(3) * 0.1 * min(1.0, gain if key.startswith(SMALL) else 1.0)
        elif last == "gamma":
            value = 0.3 + 0.3 * value
        elif value.ndim < 2:
            value = 1.0 + 0.2 * value
        else:
            value = value * math.sqrt(3) * gain / math.sqrt(math.prod(shape[1:]))
        values[name] = value if last == "num_batches_tracked" else value.float()
    for name in [name for name in values if name.endswith("weight_orig")]:
        u, v = values[name[:-4] + "u"], values[name[:-4] + "v"]
        values[name] += torch.outer(u, v).view_as(values[name])
    net.load_state_dict(values, strict=True, assign=True)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return full_size()


def full_size() -> FaceModel:
    with torch.device("meta"):
        model = FaceModel(FaceConfig())
    for name, network in model.named_children():
        if name != "stitching":
            filled(network, f"{name}.")
    assert model.stitching is not None
    for name, prefix in FLAT.items():
        filled(model.stitching.get_submodule(name), f"{prefix}.")
    return model


@torch.no_grad()
def computed(face: FaceModel) -> dict[str, Tensor]:
    """Every network on an input as small as it takes: pictures of 64, a volume of 16 x 32 x 32, features of 8 x 8."""
    exact = next(face.parameters()).dtype
    picture = (drawn("digest.picture", 2, 3, 64, 64) / 2 + 0.5).to(exact)
    reading = face.read(picture)
    volume = drawn("digest.volume", 1, 32, 16, 32, 32).to(exact)
    x_s, x_d = (0.4 * drawn(f"digest.{name}", 2, 21, 3).to(exact) for name in ("x_s", "x_d"))
    warped = face.warping(volume, x_s[:1], x_d)
    seen = {"F": face.appearance(picture), "G": face.generator(drawn("digest.features", 1, 256, 8, 8).to(exact))}
    seen |= {f"M.{n}": getattr(reading, n) for n in ("keypoints", "rotation", "translation", "scale", "expression")}
    return seen | {f"W.{n}": getattr(warped, n) for n in ("mask", "deformation", "occlusion", "features")}


def figures(value: Tensor) -> list[float]:
    """Mean, deviation and seven values spread over the tensor."""
    flat = value.double().flatten()
    few = flat[torch.linspace(0, len(flat) - 1, 7).long()]
    return [float(f"{number:.9g}") for number in (flat.mean(), flat.std(correction=0), *few)]


def test_networks_compute_what_they_did_when_the_goldens_were_matched(face: FaceModel) -> None:
    wanted = json.loads(FILE.read_text())["ours"]
    got = computed(face)
    assert set(got) == set(wanted)
    for name, value in got.items():
        atol = 2e-5 * float(value.abs().max())
        torch.testing.assert_close(
            torch.tensor(figures(value)), torch.tensor(wanted[name]), atol=atol, rtol=0, msg=name
        )


def test_pose_and_stitching_give_the_reference_s_numbers(face: FaceModel) -> None:
    told = json.loads(FILE.read_text())["golden"]
    given = {name: torch.tensor(value) for name, value in told["inputs"].items()}
    assert face.stitching is not None
    got = {
        "pose.degree": degrees_from_bins(given["bins"]),
        "pose.rotation": rotation_matrix(given["angles"]),
        "pose.keypoints": place(*(given[f"motion.{n}"] for n in ("kp", "angles", "exp", "t", "scale"))),
        "S.stitching.kp": face.stitching(given["kp_batch_s"], given["kp_batch_d"]),
        "S.eye": face.stitching.eye_offset(given["kp_batch_s"], given["eye_ratio"]),
        "S.lip": face.stitching.lip_offset(given["kp_batch_s"], given["lip_ratio"]),
    }
    assert set(got) == set(told["outputs"])
    for name, value in got.items():
        wanted = told["outputs"][name]
        torch.testing.assert_close(value, torch.tensor(wanted["value"]), atol=wanted["atol"], rtol=0, msg=name)


INPUTS = ("bins", "angles", "motion.kp", "motion.angles", "motion.exp", "motion.t", "motion.scale")
INPUTS += ("kp_batch_s", "kp_batch_d", "eye_ratio", "lip_ratio")
OUTPUTS = ("pose.degree", "pose.rotation", "pose.keypoints", "S.stitching.kp", "S.eye", "S.lip")


def make(parity: Path) -> dict[str, Any]:
    """The digest anew: first rows of the goldens, and our networks in double precision."""
    from safetensors.torch import load_file

    tensors = load_file(parity / "liveportrait_golden.safetensors")
    facts = json.loads((parity / "liveportrait_golden.json").read_text())["tensors"]
    inputs = {name: tensors[f"input.{name}"][:1].tolist() for name in INPUTS}
    outputs = {n: {"value": tensors[n][:1].tolist(), "atol": facts[n]["atol"]} for n in OUTPUTS}
    ours = {name: figures(value) for name, value in computed(full_size().double()).items()}
    return {"golden": {"inputs": inputs, "outputs": outputs}, "ours": ours}


def written(told: dict[str, Any]) -> str:
    """JSON with one line for each array."""
    text = json.dumps(told, indent=1)
    return re.sub(r"\[[^{}]*?\](?=,?\n [ ]{0,3}[\"}])", lambda m: re.sub(r"\s+", " ", m[0]), text) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(make(Path(sys.argv[1]))))
