"""The networks of the paper's metrics: published layouts, strict loading, and known answers of what is computed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from playmate_core.errors import UserError
from playmate_core.weights.catalogue import JUDGES
from training.evaluate.videos import lpips_figures
from training.evaluate.videos.checkpoints import Skipped, find_weights, load_strictly, read_checkpoint
from training.evaluate.videos.frechet import Moments, frechet_distance
from training.evaluate.videos.i3d import InceptionI3d
from training.evaluate.videos.inception import InceptionV3, resized_as_tensorflow
from training.evaluate.videos.lpips import AlexNet, Lpips, head_shapes
from training.syncnet import EMBEDDING, SyncNet, sync_score

KEYS = json.loads((Path(__file__).parent / "data" / "evaluation_keys.json").read_text())
NETWORKS: dict[str, type[nn.Module]] = {
    "inception": InceptionV3,
    "i3d": InceptionI3d,
    "syncnet": SyncNet,
    "alexnet": AlexNet,
}
#: Parameters and buffers whose sizes their publishers state (AlexNet) or whose files have this many bytes at least.
NUMBERS = {"alexnet": 61_100_840}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_the_published_layout(name: str) -> None:
    with torch.device("meta"):
        net = NETWORKS[name]()
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == KEYS[name]
    if name in NUMBERS:
        assert sum(value.numel() for value in net.parameters()) == NUMBERS[name]
    sizes = {"inception": "pt_inception", "syncnet": "syncnet", "alexnet": "alexnet"}
    if name in sizes:  # a file is its tensors and a little more
        stated = next(file.size for file in JUDGES.files if sizes[name] in file.name)
        held = sum(4 * value.numel() for value in net.state_dict().values())
        assert 0 <= stated - held < 0.01 * stated


@pytest.fixture(scope="module")
def sync_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "syncnet_v2.model"
    torch.save(SyncNet().state_dict(), path)
    return path


def test_a_whole_file_loads_and_may_lack_only_the_counters(sync_file: Path, tmp_path: Path) -> None:
    tensors = read_checkpoint(sync_file)
    net = load_strictly(SyncNet(), sync_file)
    assert torch.equal(net.netfcaud[0].weight, tensors["netfcaud.0.weight"]) and not net.training
    old = tmp_path / "old.pth"
    torch.save({k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}, old)
    load_strictly(SyncNet(), old)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("missing", "misses netfcaud.3.bias"),
        ("extra", "has the unknown stranger"),
        ("shape", r"has netfcaud.3.bias \(3,\) instead of \(1024,\)"),
        ("nan", "NaN or infinite numbers in netfcaud.3.bias"),
        ("code", "holds code, which is never run"),
        ("list", "holds no table of tensors but a list"),
    ],
)
def test_any_other_file_is_refused(sync_file: Path, tmp_path: Path, fault: str, told: str) -> None:
    content: object
    tensors = read_checkpoint(sync_file)
    if fault == "missing":
        del tensors["netfcaud.3.bias"]
    elif fault == "extra":
        tensors["stranger"] = torch.zeros(1)
    elif fault == "shape":
        tensors["netfcaud.3.bias"] = torch.zeros(3)
    elif fault == "nan":
        tensors["netfcaud.3.bias"][5] = math.nan
    content = {"code": SyncNet(), "list": [1]}.get(fault, tensors)
    path = tmp_path / "file.pth"
    torch.save(content, path)
    with pytest.raises(UserError, match=told):
        load_strictly(SyncNet(), path)


def test_absent_weights_are_skipped_and_wrong_ones_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    with pytest.raises(Skipped, match=r"^evaluation/syncnet_v2.model$"):
        find_weights("syncnet_v2.model")
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "syncnet_v2.model").write_bytes(b"x")
    with pytest.raises(UserError, match="not the published syncnet_v2.model: it has 1 bytes instead of 54,573,114"):
        find_weights("syncnet_v2.model")


def moments(rows: np.ndarray) -> Moments:
    one = Moments(rows.shape[1])
    for part in np.array_split(rows, 3):
        one.add(part)
    return one


def test_the_frechet_distance_of_gaussians_is_the_closed_form() -> None:
    """Diagonal covariances: the squared distance of the means plus that of the deviations."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((500, 6))
    base = (base - base.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(base.T)).T)  # exactly white
    scales, shift = rng.uniform(0.5, 2, 6), rng.standard_normal(6)
    wanted = (shift**2).sum() + ((scales - 1) ** 2).sum()
    assert frechet_distance(moments(base), moments(base * scales + shift)) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(moments(base), moments(base)) == pytest.approx(0, abs=1e-9)


def test_moments_count_repeats_and_merge() -> None:
    rows = np.random.default_rng(1).standard_normal((20, 4))
    repeated = Moments(4)
    repeated.add(rows, times=3)
    assert np.allclose(repeated.covariance, np.cov(np.repeat(rows, 3, 0).T))
    both = moments(rows[:8]).merged(moments(rows[8:]))
    assert both.count == 20 and np.allclose(both.covariance, np.cov(rows.T)) and np.allclose(both.mean, rows.mean(0))
    with pytest.raises(ValueError, match="at least 2 rows"):
        _ = Moments(4).covariance


@pytest.mark.parametrize("rows", [40, 400])
def test_fid_equals_torchmetrics_on_the_same_features(rows: int) -> None:
    image = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics is not installed")

    class Seen(nn.Module):
        num_features = 64

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :64].double()

    torch.manual_seed(0)
    one, other = torch.rand(rows, 3, 8, 8), torch.rand(rows, 3, 8, 8) ** 1.5
    theirs = image.FrechetInceptionDistance(feature=Seen(), normalize=False, input_img_size=(3, 8, 8)).set_dtype(
        torch.float64
    )
    theirs.update(one, real=True)
    theirs.update(other, real=False)
    features = [Seen()(x).numpy() for x in (one, other)]
    ours = frechet_distance(moments(features[0]), moments(features[1]))
    assert ours == pytest.approx(float(theirs.compute()), abs=1e-4)


def test_pictures_are_resized_without_half_pixel_centres() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    assert torch.equal(resized_as_tensorflow(ramp, 4)[0, 0, 0], torch.tensor([0.0, 2.0, 4.0, 6.0]))
    assert torch.equal(resized_as_tensorflow(ramp, 16)[0, 0, 0], (torch.arange(16.0) / 2).clamp(max=7))


def test_networks_give_their_features() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        pool = InceptionV3().eval()(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
        logits = InceptionI3d().eval()(torch.rand(1, 3, 16, 224, 224) * 2 - 1)
    assert pool.shape == (2, 2048) and bool((pool >= 0).all())
    assert logits.shape == (1, 400) and bool(logits.isfinite().all())


def test_lpips_is_zero_for_itself_symmetric_and_grows() -> None:
    torch.manual_seed(0)
    heads = {key: torch.rand(shape) for key, shape in head_shapes().items()}
    net = Lpips(AlexNet().eval(), heads)
    picture, noise = torch.rand(2, 3, 64, 64) * 2 - 1, torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert net(picture, picture).abs().max() == 0
        near, far = net(picture, picture + 0.05 * noise), net(picture, picture + 0.5 * noise)
        assert torch.allclose(near, net(picture + 0.05 * noise, picture))
    assert bool((far > near).all()) and bool((near > 0).all())


def test_the_heads_of_lpips_are_the_published_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    heads = lpips_figures.read_heads()
    assert {key: tuple(value.shape) for key, value in heads.items()} == head_shapes()
    assert all(bool((value >= 0).all()) for value in heads.values())  # distances never shrink
    monkeypatch.setattr(lpips_figures, "HEADS_SHA256", "0" * 64)
    with pytest.raises(Skipped, match="linear heads"):
        lpips_figures.read_heads()


@pytest.mark.parametrize("lag", [-5, 0, 5, 12])
def test_sync_scores_recover_a_shift(lag: int) -> None:
    torch.manual_seed(0)
    track = torch.randn(100, EMBEDDING)
    seen, heard = track[20:80], track[20 - lag : 80 - lag]
    score = sync_score(seen + 0.1 * torch.randn_like(seen), heard)
    assert score.offset == lag and score.confidence > 10 and score.distance < 20
    assert sync_score(seen, torch.randn(60, EMBEDDING)).confidence < 3
