"""The full-size face networks give the published function: every golden tensor of data/goldens.

``PLAYMATE_PARITY`` names another folder with goldens of the same form: their seed, inputs and slices are read from the
JSON there. The algebra of pictures and motion (crops, paste-back, driving) is compared by the tests of those rooms.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from golden import GOLDENS, Golden
from test_liveportrait import flattened, nested, write_pth, write_safe
from torch import Tensor, nn

from playmate_core.face import FaceConfig, warping
from playmate_core.face.appearance import AppearanceExtractor
from playmate_core.face.generator import Generator
from playmate_core.face.motion import MotionExtractor
from playmate_core.face.stitching import Stitching
from playmate_core.face.warping import WarpingModule
from playmate_core.geometry import degrees_from_bins, place, rotation_matrix
from playmate_core.weights import files as weights

RETARGET = {"stitching": "retarget_shoulder_module", "lip": "retarget_mouth_module", "eye": "retarget_eye_module"}


@contextmanager
def watching(net: nn.Module, table: dict[str, str]) -> Iterator[dict[str, Tensor]]:
    """Record the output of each named submodule: golden name -> path."""
    seen: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            seen[name] = output

        return keep

    hooks = [net.get_submodule(path).register_forward_hook(keeper(name)) for name, path in table.items()]
    yield seen
    for hook in hooks:
        hook.remove()


@pytest.fixture(scope="module")
def golden() -> Golden:
    return Golden()


@pytest.fixture(scope="module")
def motion(golden: Golden) -> nn.Module:
    return golden.filled(on_meta(MotionExtractor))


@pytest.fixture(scope="module")
def stitching(golden: Golden) -> Stitching:
    net = on_meta(Stitching)
    for name, prefix in RETARGET.items():
        golden.filled(net.get_submodule(name), prefix + ".")
    assert isinstance(net, Stitching)
    return net


@pytest.fixture(scope="module")
def warping_net(golden: Golden) -> nn.Module:
    return golden.filled(on_meta(WarpingModule))


@pytest.fixture(scope="module")
def generator(golden: Golden) -> nn.Module:
    return golden.filled(on_meta(Generator))


def on_meta(build: Callable[[FaceConfig], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build(FaceConfig())


def test_fill_agrees(golden: Golden, motion: nn.Module) -> None:
    facts = json.loads((GOLDENS / "liveportrait_golden.json").read_text())["about"]["fill_check"]["M"]
    values = motion.state_dict()[facts["first_key"]].flatten()[:4]
    assert values.tolist() == pytest.approx(facts["first_values"], abs=1e-7)


def test_appearance(golden: Golden) -> None:
    net = golden.filled(on_meta(AppearanceExtractor))
    table = {"F.first": "first", "F.second": "second"} | {f"F.down_blocks.{i}": f"down_blocks.{i}" for i in range(2)}
    table |= {f"F.resblocks_3d.{i}": f"resblocks_3d.3dr{i}" for i in range(6)}
    with watching(net, table) as seen:
        seen["F.out"] = net(golden.picture("s"))
    golden.check("F.", seen)


def test_motion(golden: Golden, motion: nn.Module) -> None:
    table = {"M.stem.conv": "downsample_layers.0.0", "M.stem": "downsample_layers.0", "M.pooled": "norm"}
    table |= {f"M.block0.{n}": f"stages.0.0.{n}" for n in ("dwconv", "norm", "pwconv1", "grn", "pwconv2")}
    table |= {f"M.stage{i}": f"stages.{i}" for i in range(4)} | {"M.block0.out": "stages.0.0"}
    table |= {f"M.downsample{i}": f"downsample_layers.{i}" for i in range(1, 4)}
    table |= {f"M.{n}": f"fc_{n}" for n in ("kp", "scale", "pitch", "yaw", "roll", "t", "exp")}
    with watching(motion.get_submodule("detector"), table) as seen:
        reading = motion(golden.picture("s", "d"))
    seen["M.block0.act"] = F.gelu(seen["M.block0.pwconv1"])
    for i, name in enumerate(("pitch", "yaw", "roll")):
        seen[f"M.{name}_degree"] = reading.rotation[:, i]
        assert torch.equal(reading.angle_logits[:, i], seen[f"M.{name}"])
    assert torch.equal(reading.keypoints.flatten(1), seen["M.kp"])
    assert torch.equal(reading.expression.flatten(1), seen["M.exp"])
    golden.check("M.", seen)


def test_pose(golden: Golden) -> None:
    motion = {n: golden.input(f"motion.{n}") for n in ("kp", "angles", "exp", "t", "scale")}
    seen = {
        "pose.degree": degrees_from_bins(golden.input("bins")),
        "pose.rotation": rotation_matrix(golden.input("angles")),
        "pose.keypoints": place(motion["kp"], motion["angles"], motion["exp"], motion["t"], motion["scale"]),
    }
    golden.check("pose.", seen)


def test_stitching(golden: Golden, stitching: Stitching) -> None:
    x_s, x_d = golden.input("kp_batch_s"), golden.input("kp_batch_d")
    with watching(stitching, {"S.stitching.raw": "stitching"}) as seen:
        seen["S.stitching.kp"] = stitching(x_s, x_d)
    seen["S.eye"] = stitching.eye_offset(x_s, golden.input("eye_ratio"))
    seen["S.lip"] = stitching.lip_offset(x_s, golden.input("lip_ratio"))
    golden.check("S.", seen)


def test_warping(golden: Golden, warping_net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    dense, looked_up = "dense_motion_network.", []

    def spied(volume: Tensor, grid: Tensor) -> Tensor:
        looked_up.append((grid, sample(volume, grid)))
        return looked_up[-1][1]

    sample = warping.sample
    monkeypatch.setattr(warping, "sample", spied)
    table = {"W.compress": dense + "compress", "W.compress.norm": dense + "norm", "W.mask.logits": dense + "mask"}
    table |= {f"W.encoder.{i}": f"{dense}hourglass.encoder.down_blocks.{i}" for i in range(5)}
    table |= {f"W.decoder.{i}": f"{dense}hourglass.decoder.up_blocks.{i}" for i in range(5)}
    table |= {"W.hourglass.out": dense + "hourglass", "W.occlusion.logits": dense + "occlusion"}
    table |= {"W.third": "third", "W.fourth": "fourth"}
    hourglass = warping_net.get_submodule(dense + "hourglass")
    entering = hourglass.register_forward_pre_hook(lambda _m, inputs: seen.update({"W.hourglass.in": inputs[0]}))
    with watching(warping_net, table) as seen:
        warped = warping_net(golden.drawn("W.feature"), golden.input("kp_source"), golden.input("kp_driving"))
    entering.remove()
    seen["W.sparse_motion"] = looked_up[0][0].unflatten(1, (22, 16))
    seen["W.sparse_deformed"] = looked_up[0][1].unflatten(2, (22, 16)).movedim(2, 1)
    seen["W.heatmap"] = seen["W.hourglass.in"].unflatten(1, (22, 5))[:, :, :1]
    seen["W.third.in"] = looked_up[1][1].flatten(1, 2)
    seen |= {"W.mask": warped.mask, "W.deformation": warped.deformation}
    seen |= {"W.occlusion": warped.occlusion, "W.out": warped.features}
    golden.check("W.", seen)


def test_generator(golden: Golden, generator: nn.Module) -> None:
    first = "G_middle_0.norm_0"
    table = {"G.fc": "fc", "G.middle0.spade": first, "G.middle0.spade.shared": first + ".mlp_shared"}
    table |= {f"G.middle0.spade.{n}": f"{first}.mlp_{n}" for n in ("gamma", "beta")}
    table |= {"G.middle0.conv_0": "G_middle_0.conv_0"} | {f"G.middle.{i}": f"G_middle_{i}" for i in range(6)}
    table |= {f"G.{n}": n for n in ("up_0.norm_s", "up_0.conv_s", "up_0", "up_1", "conv_img.0", "conv_img")}
    with watching(generator, table) as seen:
        seen["G.image"] = seen["G.image_patch"] = generator(golden.drawn("G.feature"))
    seen["G.middle0.spade.instance"] = F.instance_norm(seen["G.fc"])
    layers = json.loads((GOLDENS / "liveportrait.json").read_text())["spectral_norm_layers"]
    seen["G.sigma"] = torch.stack([generator.get_submodule(n).sigma() for n in layers])  # type: ignore[operator]
    golden.check("G.", seen)


@pytest.fixture(scope="module")
def placed(golden: Golden, motion: nn.Module) -> Tensor:
    """Key points of both pictures, read and placed: (2, 21, 3)."""
    reading = motion(golden.picture("s", "d"))
    return place(reading.keypoints, reading.rotation, reading.expression, reading.translation, reading.scale)


def test_composed_keypoints(golden: Golden, placed: Tensor, stitching: Stitching) -> None:
    driven = stitching(placed[:1], placed[1:])
    golden.check("composed.kp", {"composed.kp": placed, "composed.kp_stitched": driven})


@pytest.mark.slow
def test_composed_picture(
    golden: Golden, placed: Tensor, stitching: Stitching, warping_net: nn.Module, generator: nn.Module
) -> None:
    volume = golden.filled(on_meta(AppearanceExtractor))(golden.picture("s"))
    driven = stitching(placed[:1], placed[1:])
    warped = warping_net(volume, placed[:1], driven)
    image = generator(warped.features)
    seen = {"composed.kp": placed, "composed.kp_stitched": driven, "composed.deformation": warped.deformation}
    seen |= {"composed.occlusion": warped.occlusion, "composed.warped": warped.features}
    golden.check("composed.", seen | {"composed.image": image, "composed.image_patch": image})


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["official", "kijai"])
def test_public_files_on_disk_draw_the_golden_picture(
    golden: Golden,
    layout: str,
    motion: nn.Module,
    stitching: Stitching,
    warping_net: nn.Module,
    generator: nn.Module,
    tmp_path: Path,
) -> None:
    """As a user has them: five files of the filled weights, loaded by name, spectral norm folded away."""
    base, retargeting = tmp_path / "liveportrait/base_models", tmp_path / "liveportrait/retargeting_models"
    networks = {"motion_extractor": motion, "warping_module": warping_net, "spade_generator": generator}
    networks["appearance_feature_extractor"] = golden.filled(on_meta(AppearanceExtractor))
    for name, network in networks.items():
        if layout == "official":
            write_pth(network.state_dict(), base / f"{name}.pth")
        else:
            write_safe(network.state_dict(), tmp_path / f"{name}.safetensors")
    if layout == "official":
        write_pth(nested(stitching.state_dict()), retargeting / "stitching_retargeting_module.pth")
    else:
        write_safe(flattened(stitching.state_dict()), tmp_path / "stitching_retargeting_module.safetensors")
    face = weights.load_face(tmp_path)
    assert face.stitching is not None
    reading = face.read(golden.picture("s", "d"))
    x = place(reading.keypoints, reading.rotation, reading.expression, reading.translation, reading.scale)
    driven = face.stitching(x[:1], x[1:])
    warped = face.warping(face.appearance(golden.picture("s")), x[:1], driven)
    image = face.generator(warped.features)
    seen = {"composed.kp": x, "composed.kp_stitched": driven, "composed.deformation": warped.deformation}
    seen |= {"composed.occlusion": warped.occlusion, "composed.warped": warped.features}
    golden.check("composed.", seen | {"composed.image": image, "composed.image_patch": image})


def test_every_golden_net_tensor_has_its_test(golden: Golden) -> None:
    covered = ("F.", "M.", "pose.", "S.", "W.", "G.", "composed.")
    assert [n for n, f in golden.facts.items() if f.get("kind") == "net" and not n.startswith(covered)] == []
