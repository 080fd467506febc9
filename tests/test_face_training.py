"""Whole runs of the face networks and the probe in miniature, and which gradients Eq. 4 gives."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.motion import CoarseToFineMotionExtractor
from playmate_core.weights import files as weights
from training import face
from training.__main__ import main
from training.data import Sessions
from training.face import FaceStage, FaceStageConfig
from training.loop import train
from training.pairs import resized
from training.perceptual import load_feature_net
from training.probe import Probe, ProbeConfig, load_probe
from training.probe_stage import ProbeStage, ProbeStageConfig
from training.reading import ReadingConfig, ReadingStage, begin, start_at_mean_face, take_what_fits

MODEL = replace(FaceConfig.tiny(), spectral_norm=False)
PROBE = ProbeConfig(size=32, widths=(4, 8), embedding=6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stage(corpus: Path, eye: Path, **changes: object) -> FaceStage:
    defaults: dict[str, object] = {"draw_size": 32, "batch": 2, "teacher": 0.0, "transfer_every": 1}
    config = replace(
        FaceStageConfig(model=MODEL, corpus=str(corpus), perceptual_weights=str(eye), steps=4),
        **{**defaults, **changes},
    )
    torch.manual_seed(0)
    return FaceStage(config, FaceModel(MODEL), Sessions(corpus, "train"))


def test_every_term_is_in_the_loss_and_eq_4_comes_every_few_steps(corpus: Path, eye: Path) -> None:
    made = stage(corpus, eye, transfer_every=2)
    batch = made.batch(generator())
    values = made.loss(batch, 2, generator())
    terms = [value for name, value in values.items() if name not in ("loss", "psnr")]
    assert float(values["loss"].detach()) == pytest.approx(sum(float(term.detach()) for term in terms), rel=1e-5)
    assert {"l1", "edges", "features", "rigid", "pose", "keypoints", "expression", "prior"} <= set(values)
    assert float(values["transfer"].detach()) > 0 and "transfer" not in made.loss(batch, 1, generator())
    assert "transfer" not in stage(corpus, eye, transfer=0.0).loss(batch, 2, generator())


def transfer_gradients(corpus: Path, eye: Path, detach: str) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Of Eq. 4 alone: with respect to the volume of frame i and that of frame j, and to the networks' parameters."""
    made = stage(corpus, eye, detach=detach)
    batch = made.batch(generator())
    volumes: list[Tensor] = []
    appearance = made.model.appearance.forward

    def kept(image: Tensor) -> Tensor:
        volumes.append(appearance(image))
        volumes[-1].retain_grad()
        return volumes[-1]

    made.model.appearance.forward = kept  # type: ignore[method-assign]
    volume_i = made.model.appearance(resized(batch.source, 32))
    made._transfer(batch, volume_i, batch.source_truth, batch.driving_truth).backward()
    first, second = (v.grad if v.grad is not None else torch.zeros_like(v) for v in volumes)
    return first, second, {n: p.grad for n, p in made.model.generator.named_parameters() if p.grad is not None}


def test_a_frozen_network_keeps_its_numbers_and_its_statistics(corpus: Path, eye: Path) -> None:
    made = stage(corpus, eye, frozen="motion", teacher=0.0)
    before = {name: value.clone() for name, value in made.model.motion.state_dict().items()}
    made.model.train()
    made.loss(made.batch(generator()), 1, generator())["loss"].backward()
    assert all(p.grad is None for p in made.model.motion.parameters())
    learning = {id(p) for group in made.parameters() for p in group["params"]}
    assert not learning & {id(p) for p in made.model.motion.parameters()}
    assert all(torch.equal(before[name], value) for name, value in made.model.motion.state_dict().items())
    assert any(p.grad is not None for p in made.model.generator.parameters())


def test_detach_cuts_the_branch_it_names(corpus: Path, eye: Path) -> None:
    both_i, both_j, both = transfer_gradients(corpus, eye, "none")
    without_a_i, without_a_j, without_a = transfer_gradients(corpus, eye, "A")
    without_b_i, without_b_j, without_b = transfer_gradients(corpus, eye, "B")
    assert both_i.any() and both_j.any()
    assert not without_a_i.any() and torch.allclose(without_a_j, both_j)
    assert torch.allclose(without_b_i, both_i) and not without_b_j.any()
    for name, value in both.items():
        assert torch.allclose(without_a[name] + without_b[name], value, atol=1e-6)


def test_choices_that_do_not_exist_are_refused(corpus: Path, eye: Path) -> None:
    with pytest.raises(UserError, match="--detach is 'C', expected one of none, A, B"):
        stage(corpus, eye, detach="C")
    with pytest.raises(UserError, match="--norm is 'l3', expected one of l2, l1"):
        stage(corpus, eye, norm="l3")


def run(corpus: Path, out: Path, steps: int, *more: str) -> int:
    """The verb on the tiny model, by way of a config file."""
    sizes = out.with_name(f"{out.name}.json")
    sizes.write_text(json.dumps({"model": asdict(replace(MODEL, with_stitching=False))}))
    flags = ["--config", str(sizes), "--corpus", str(corpus), "--out", str(out), "--steps", str(steps), "--batch", "2"]
    return main(
        ["face", *flags, "--draw-size", "32", "--transfer-every", "2", "--warmup", "1", "--log-every", "1", *more]
    )


def test_the_verb_trains_to_a_file_that_loads(corpus: Path, eye: Path, tmp_path: Path) -> None:
    seeing = ["--perceptual-weights", str(eye)]
    assert run(corpus, tmp_path / "run", 4, "--teacher", "0.5", *seeing) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [("transfer" in line) for line in lines] == [True, False, True, False]
    assert float(lines[2]["transfer"]) > 0
    path = tmp_path / "run" / "face.safetensors"
    assert weights.describe(path).training["step"] == 4
    model = weights.load_face(path)
    assert not model.training and model.config.image_size == 32
    assert run(corpus, tmp_path / "on", 1, "--init", str(path), "--reader", str(path), *seeing) == 0


def test_another_readers_sizes_are_refused(
    corpus: Path, eye: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, other = FaceModel(replace(MODEL, motion_widths=(4, 4, 4, 4))), tmp_path / "other.safetensors"
    weights.save(model, other, license="Apache-2.0", data="none", training={"step": 0})
    assert run(corpus, tmp_path / "run", 1, "--reader", str(other), "--perceptual-weights", str(eye)) == 2
    assert "holds an M of other sizes" in capsys.readouterr().err


def test_an_interrupted_run_ends_in_the_same_weights(corpus: Path, eye: Path, tmp_path: Path) -> None:
    def finish(out: Path, *stops: int) -> dict[str, Tensor]:
        for stop in stops:
            made = stage(corpus, eye, transfer_every=2, teacher=0.5, warmup=1)
            made.steps = 4  # what the schedule of the guides looks at
            train(made, replace(made.config, schedule="constant", steps=stop), out)
        return weights.load_face(out / "face.safetensors").state_dict()

    whole, resumed = finish(tmp_path / "whole", 4), finish(tmp_path / "resumed", 1, 3, 4)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_without_a_feature_network_the_probe_is_trained_first(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(ProbeStageConfig(), steps=1, batch=2)
    monkeypatch.setattr(face, "ProbeStageConfig", lambda **given: replace(short, **{**given, "steps": 1}))
    out = tmp_path / "run"
    assert run(corpus, out, 1) == 0
    assert isinstance(load_feature_net("probe", str(out / "probe" / "probe.safetensors")), Probe)
    assert weights.describe(out / "face.safetensors").training["perceptual_weights"].endswith("probe.safetensors")


def test_the_probe_trains_resumes_and_survives_the_disk(corpus: Path, sessions: Sessions, tmp_path: Path) -> None:
    def trained(out: Path, *stops: int) -> Probe:
        for stop in stops:
            torch.manual_seed(0)
            config = ProbeStageConfig(corpus=str(corpus), steps=stop, batch=3, schedule="constant", warmup=1)
            made = ProbeStage(config, PROBE, sessions)
            train(made, config, out)
        assert {"rotation", "rig", "emotion", "identity"} <= set(
            json.loads((out / "log.jsonl").read_text().split("\n")[0])
        )
        kept, back = made.probe.eval(), load_probe(out / "probe.safetensors")
        picture = torch.rand(2, 3, 64, 64)
        assert torch.equal(kept(picture).rig, back(picture).rig)
        assert torch.allclose(back(picture).identity.norm(dim=-1), torch.ones(2), atol=1e-5)
        return back

    whole, resumed = trained(tmp_path / "whole", 3).state_dict(), trained(tmp_path / "resumed", 1, 3).state_dict()
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    start = Probe(PROBE).state_dict()
    assert not torch.equal(start["rig.weight"], whole["rig.weight"])


def test_the_probes_batch_is_two_frames_of_each_person(corpus: Path, sessions: Sessions) -> None:
    made = ProbeStage(ProbeStageConfig(corpus=str(corpus), batch=8), PROBE, sessions)
    batch = made.batch(generator())
    assert len(batch.image) == 2 * len(sessions)  # no more people than there are
    assert torch.allclose(batch.emotion.sum(-1), torch.ones(len(batch.image)))
    values = made.loss(batch, 0, generator())
    parts = sum(
        getattr(made.config, name) * float(values[name].detach()) for name in ("rotation", "rig", "emotion", "identity")
    )
    assert float(values["loss"].detach()) == pytest.approx(parts, rel=1e-5)


def test_a_file_that_is_no_probe_is_refused(tiny_face: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a probe"):
        load_probe(tiny_face)
    (tmp_path / "noise.safetensors").write_bytes(b"\x00" * 40)
    for path in (tmp_path / "noise.safetensors", tmp_path / "absent.safetensors"):
        with pytest.raises(UserError, match="Cannot read"):
            load_probe(path)


def test_a_grown_model_begins_as_the_smaller_one_and_has_room_for_more(tiny_face: Path) -> None:
    smaller = weights.load_face(tiny_face)
    torch.manual_seed(1)
    grown = FaceModel(replace(smaller.config, body_candidate=True)).eval()
    take_what_fits(grown, smaller)
    old, new = smaller.state_dict(), grown.state_dict()
    for name, value in old.items():
        assert torch.equal(new[name][tuple(slice(n) for n in value.shape)], value), name
    first = "warping.dense_motion_network.hourglass.encoder.down_blocks.0.conv.weight"
    assert new[first].shape[1] == old[first].shape[1] + 1 + smaller.config.compress_channels
    assert not new[first][:, old[first].shape[1] :].any()


TWO_LOOKS = replace(FaceConfig.tiny(), motion_backbone="two-looks")


def reader(sessions: Sessions) -> FaceModel:
    torch.manual_seed(0)
    model = FaceModel(TWO_LOOKS)
    start_at_mean_face(model, sessions)
    return model


def test_reading_is_the_sum_of_its_looks_and_can_leave_the_first_as_it_is(corpus: Path, sessions: Sessions) -> None:
    config = ReadingConfig(corpus=str(corpus), batch=4, softened=0.0)
    made = ReadingStage(config, reader(sessions), sessions)
    batch = made.batch(generator())
    assert batch.image.shape == (4, 3, 64, 64)  # twice what F is given
    values = made.loss(batch, 0, generator())
    terms = ("first", "pose", "keypoints", "expression")
    assert float(values["loss"].detach()) == pytest.approx(sum(float(values[n].detach()) for n in terms), rel=1e-5)
    values["loss"].backward()
    detector = made.detector
    assert all(p.grad is not None for n, p in detector.named_parameters())
    left = ReadingStage(replace(config, first=0.0), reader(sessions), sessions)
    assert "first" not in left.loss(batch, 0, generator())
    learning = {n for n, p in left.detector.named_parameters() if p.requires_grad}
    assert learning and all(name.startswith("close_") for name in learning)


def test_an_m_that_looks_once_is_sent_to_the_stage_that_teaches_it(corpus: Path, sessions: Sessions) -> None:
    with pytest.raises(UserError, match="expected 'two-looks'"):
        ReadingStage(ReadingConfig(corpus=str(corpus)), FaceModel(FaceConfig.tiny()), sessions)


def test_reading_starts_at_the_mean_face_in_units_of_its_spread(sessions: Sessions) -> None:
    detector = reader(sessions).motion.detector
    assert isinstance(detector, CoarseToFineMotionExtractor)
    people = torch.stack([sessions[i].keypoints for i in range(len(sessions))]).flatten(1)
    frames = torch.cat([sessions[i].expression for i in range(len(sessions))]).flatten(1)
    torch.testing.assert_close(detector.keypoint_mean, people.mean(0))
    alive = frames.std(0) > 1e-3
    torch.testing.assert_close(detector.expression_spread[alive], frames.std(0)[alive])


def test_a_reader_learns_and_its_run_ends_in_a_face_file(corpus: Path, sessions: Sessions, tmp_path: Path) -> None:
    words = "--steps 40 --warmup 2 --batch 8 --lr 0.01 --ema 0 --softened 0 --log-every 1 --save-every 40".split()
    seed = tmp_path / "seed.safetensors"
    weights.save(reader(sessions), seed, license="Apache-2.0", data="none", training={"step": 0})
    main(["reading", "--corpus", str(corpus), "--init", str(seed), "--out", str(tmp_path / "run"), *words])
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    early, late = (sum(line["loss"] for line in part) for part in (log[:8], log[-8:]))
    assert late < 0.85 * early
    assert weights.load_face(tmp_path / "run" / "face.safetensors").config == TWO_LOOKS
    assert begin(FaceConfig.tiny(), str(seed), False, 0, sessions).config == TWO_LOOKS


def test_what_is_drawn_is_read_back_by_a_frozen_m_alone(corpus: Path, eye: Path) -> None:
    with pytest.raises(UserError, match="expected --frozen motion"):
        stage(corpus, eye, read_back=0.5)
    made = stage(corpus, eye, read_back=0.5, frozen="motion", transfer=0.0, teacher=1.0)
    batch = made.batch(generator())
    term = made.loss(batch, 1, generator())["read_back"]
    term.backward()
    assert float(term.detach()) > 0
    assert all(p.grad is None for p in made.model.motion.parameters())
    assert any(float(p.grad.abs().max()) > 0 for p in made.model.generator.parameters() if p.grad is not None)
    made.model.generator.forward = lambda features, canvas: resized(batch.driving, 64)  # type: ignore[method-assign]
    assert float(made.loss(batch, 1, generator())["read_back"]) == 0.0  # the true picture says what it should
