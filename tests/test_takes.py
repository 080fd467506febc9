"""Takes sampled as one batch: each is the motion of its seed alone, within a stated bound, whatever its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from generated_motion import BASE, CONTROLLER, FACE, FAST
from generator_requests import ditto, joyvasa, request_for  # noqa: F401
from motion_models import WINDOW, rest, voice
from torch import Tensor

from playmate_core.diffusion import window_chain
from playmate_core.diffusion.ditto.config import STEPS
from playmate_core.diffusion.ditto.generator import DittoGenerator
from playmate_core.diffusion.ditto.sampling import sampled_together
from playmate_core.diffusion.ditto.schedule import cosine_schedule
from playmate_core.diffusion.generate import MOST_TOGETHER, PlaymateGenerator
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.request import GenerationRequest, joined
from playmate_core.diffusion.window_sampling import WindowTask, sample_windows
from playmate_core.media.audio_files import read_sound
from playmate_core.media.images import read_picture
from playmate_core.motion.region_mix import compare_motions
from playmate_core.pipelines.stages import sample_motion
from playmate_core.pipelines.takes import TOGETHER, emotion_takes, sample_takes, seed_takes
from playmate_core.rendering.portrait import read_portrait
from playmate_core.values import EMOTIONS, EmotionCurve, Motion
from playmate_core.weights.files import load_face
from playmate_core.weights.folders import bundled
from playmate_core.weights.generator_file import Companions
from playmate_core.weights.generators import load_generator

GENERATOR = PlaymateGenerator(BASE, CONTROLLER)


def requests(count: int, emotion: str | None = "happy", **changes: object) -> list[GenerationRequest]:
    frames = 2 * WINDOW + 3
    curve = None if emotion is None else EmotionCurve.constant(emotion, 1.0, frames)
    options = [replace(FAST, seed=seed, **changes) for seed in range(count)]  # type: ignore[arg-type]
    return [GenerationRequest(FACE, rest(), voice(frames), curve, how) for how in options]


def furthest(one: Motion, other: Motion) -> float:
    return max(found.largest for found in compare_motions(one, other))


def assert_within_bound(one: Motion, other: Motion) -> None:
    found = compare_motions(one, other)
    assert all(part.largest <= TOGETHER[part.unit] for part in found), "\n".join(map(str, found))


@pytest.mark.parametrize(
    "changes",
    [
        {"sampler": "ddpm"},
        {"sampler": "ddim", "eta": 1.0},
        {"overlap": 4},
        {"overlap": 4, "joint": "fade", "lock_pose": True},
        {"pose_anchor": "first", "start": "portrait"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_a_take_of_a_batch_is_the_motion_of_its_seed(changes: dict[str, object]) -> None:
    asked = requests(3, **changes)
    for pieces, request in zip(GENERATOR.iterate_together(asked), asked, strict=True):
        alone = list(GENERATOR.iterate(request))
        assert [len(piece) for piece in pieces] == [len(piece) for piece in alone]
        assert furthest(joined(pieces), joined(alone)) < 1e-4
    assert furthest(GENERATOR.generate(asked[0]), GENERATOR.generate(asked[1])) > 1e-2, "seeds differ by much more"


@pytest.fixture(params=["joyvasa", "ditto"])
def published(request: pytest.FixtureRequest) -> Any:
    """A published generator's miniature whose numbers are as large as a trained one's."""
    generator = request.getfixturevalue(request.param)
    return generator if request.param == "joyvasa" else calmed(generator)


def calmed(ditto: DittoGenerator) -> DittoGenerator:  # noqa: F811
    """The miniature's random weights feed themselves: its numbers grow to 40 000, where rounding is 0.004."""
    network = deepcopy(ditto.network)
    with torch.no_grad():
        network.final_layer.weight.mul_(0.1)
        network.final_layer.bias.mul_(0.1)
    calm = replace(ditto, network=network)
    (largest,) = numbers_of(calm, [request_for(calm, 205)])
    assert 1.0 < float(largest.abs().max()) < 3.0
    return calm


def numbers_of(ditto: DittoGenerator, asked: Sequence[GenerationRequest]) -> list[Tensor]:  # noqa: F811
    """The network's own numbers (T, C) of requests sampled as one batch, before they are clamped."""
    options = [one.options or ditto.defaults for one in asked]
    clips = [ditto.clip(one, ditto.conditioned(one), how) for one, how in zip(asked, options, strict=True)]
    noises = [ditto.noise(how.seed) for how in options]
    schedule = cosine_schedule(STEPS)
    pieces = zip(*sampled_together(ditto.network, schedule, clips, options[0], noises), strict=True)
    return [torch.cat(one) for one in pieces]


def test_takes_of_a_published_generator_go_together(published: Any) -> None:
    """Each within the stated bound of the motion of its seed; one alone keeps every bit."""
    generator = published
    rows = list[int]()
    hook = generator.network.register_forward_hook(lambda module, given, made: rows.append(len(made)))
    asked = [request_for(generator, 205, seed=seed) for seed in range(3)]
    steps = list[tuple[int, int]]()
    together = generator.iterate_together(asked, lambda *step: steps.append(step))
    assert set(rows) == {6}, "three takes, without and with their conditions"
    assert steps == [(k + 1, steps[-1][1]) for k in range(len(rows))] and len(rows) == steps[-1][1]
    hook.remove()
    for pieces, one in zip(together, asked, strict=True):
        alone = list(generator.iterate(one))
        assert [len(piece) for piece in pieces] == [len(piece) for piece in alone]
        assert_within_bound(joined(pieces), joined(alone))
    assert furthest(joined(together[0]), joined(together[1])) > 1e-3
    (single,) = generator.iterate_together(asked[:1])
    assert furthest(joined(single), generator.generate(asked[0])) == 0.0
    apart = [asked[0], request_for(generator, 80, seed=1)]
    assert [len(joined(pieces)) for pieces in generator.iterate_together(apart)] == [205, 80]


def test_takes_of_ditto_differ_by_rounding_alone(ditto: DittoGenerator) -> None:  # noqa: F811
    """Where the numbers leave every range, rounding grows with them and with nothing else."""
    asked = [request_for(ditto, 205, seed=seed) for seed in range(3)]
    for taken, one in zip(numbers_of(ditto, asked), asked, strict=True):
        (alone,) = numbers_of(ditto, [one])
        assert float(alone.abs().max()) > 1e4
        assert float((taken - alone).abs().max() / alone.abs().max()) < 5e-6


def test_takes_of_ditto_keep_their_emotions(ditto: DittoGenerator) -> None:  # noqa: F811
    calm = calmed(ditto)
    curves = [EmotionCurve.constant(name, 1.0, 130) for name in ("happy", "sad")]
    asked = [request_for(calm, 130, emotion=curve, seed=4) for curve in curves]
    pieces = calm.iterate_together(asked)
    for made, one in zip(pieces, asked, strict=True):
        assert_within_bound(joined(made), calm.generate(one))
    assert furthest(joined(pieces[0]), joined(pieces[1])) > 1e-4


def test_one_take_keeps_every_bit() -> None:
    (pieces,) = GENERATOR.iterate_together(requests(1))
    assert furthest(joined(pieces), GENERATOR.generate(requests(1)[0])) == 0.0


def test_takes_go_through_the_network_together_and_never_more_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list[int]()

    def counting(tasks: list[WindowTask], progress: object) -> torch.Tensor:
        rows.append(len(tasks))
        return sample_windows(tasks, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(window_chain, "sample_windows", counting)
    GENERATOR.iterate_together(requests(MOST_TOGETHER + 2))
    assert rows == [MOST_TOGETHER] * 3 + [2] * 3, "three windows of a full batch, then of the rest"
    rows.clear()
    mixed = [*requests(2), *requests(1, None)]
    assert [len(joined(pieces)) for pieces in GENERATOR.iterate_together(mixed)] == [2 * WINDOW + 3] * 3
    assert rows == [2] * 3 + [1] * 3, "with an emotion and without go apart"


def test_progress_counts_to_the_end_and_cancels() -> None:
    seen = list[tuple[int, int]]()
    GENERATOR.iterate_together(requests(MOST_TOGETHER + 1), lambda *step: seen.append(step))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and seen[-1][0] == seen[-1][1]

    def cancel(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        GENERATOR.iterate_together(requests(2), cancel)


@pytest.mark.slow
def test_takes_of_the_bundled_models_keep_the_stated_bound() -> None:
    generator = load_generator(bundled("motion.safetensors"), Companions(emotion=bundled("emotion.safetensors")))
    portrait = read_portrait(load_face(bundled("face.safetensors")), read_picture(bundled("portrait.png")), "whole")
    sound = read_sound(bundled("speech.wav"))
    audio = generator.encoder().listen(sound.waveform[: 3 * sound.rate], sound.rate)
    for asked in (seed_takes(4, None, SamplingOptions(seed=11)), emotion_takes(1.0, SamplingOptions(seed=5))):
        takes = sample_takes(generator, portrait, audio, asked)
        assert [take.name for take in takes.takes] in (list(EMOTIONS), [f"seed {n}" for n in range(11, 15)])
        for take, one in list(zip(takes.takes, asked, strict=True))[:3]:
            alone = joined(list(sample_motion(generator, portrait, audio, one.emotion, one.options)))
            assert_within_bound(take.motion, alone)
            assert take.motion.origin == alone.origin
