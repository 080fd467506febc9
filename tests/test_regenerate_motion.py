"""The pipeline around a motion sampled again: the emotion layer stays on it, and what is outside keeps every bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from generated_motion import BASE, CONTROLLER, FACE, FAST
from motion_models import WINDOW, rest, voice

from playmate_core.diffusion.emotion_schedule import EmotionSchedule
from playmate_core.diffusion.generate import PlaymateGenerator
from playmate_core.diffusion.regenerate import Part, Regeneration
from playmate_core.diffusion.request import joined
from playmate_core.errors import UserError
from playmate_core.motion.emotion_by import EmotionBy
from playmate_core.pipelines import regenerate
from playmate_core.pipelines.regenerate import regenerate_motion, regenerations
from playmate_core.pipelines.stages import sample_motion
from playmate_core.times import read_ranges
from playmate_core.values import Motion, Portrait

GENERATOR = PlaymateGenerator(BASE, CONTROLLER)
FRAMES, BEGIN, END = 3 * WINDOW, 10, 20
SCHEDULE = EmotionSchedule.written("0:happy,1:sad@0.5", 1.0)


def portrait() -> Portrait:
    own = replace(rest(), keypoint_space=BASE.config.keypoint_space)
    crop = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return Portrait(torch.zeros(8, 8, 3), crop, 8, torch.zeros(1, 1, 1, 1), FACE, own)


def sampled(by: EmotionBy, seed: int = 3) -> Motion:
    how = replace(FAST, seed=seed)
    return joined(list(sample_motion(GENERATOR, portrait(), voice(FRAMES), SCHEDULE, how, by=by)))


def again(motion: Motion, what: Regeneration, by: EmotionBy, seed: int = 4) -> Motion:
    how = replace(FAST, seed=seed)
    return regenerate_motion(GENERATOR, portrait(), voice(FRAMES), motion, what, SCHEDULE, how, by)


@pytest.mark.parametrize("by", list(EmotionBy))
def test_outside_every_bit_stays_and_a_zero_edit_is_the_motion_itself(by: EmotionBy) -> None:
    motion = sampled(by)
    assert again(motion, Regeneration(BEGIN, BEGIN), by) is motion
    assert again(motion, Regeneration(BEGIN, END, strength=0.0), by) is motion
    made = again(motion, Regeneration.of_seconds(BEGIN / 25, END / 25, 25.0), by)
    for kept in (slice(0, BEGIN), slice(END, None)):
        assert torch.equal(made.expression[kept], motion.expression[kept])
        assert torch.equal(made.pose.rotation[kept], motion.pose.rotation[kept])
    assert not torch.equal(made.expression[BEGIN:END], motion.expression[BEGIN:END])


def test_the_layer_is_taken_off_before_the_model_sees_the_motion_and_laid_on_again() -> None:
    bare, layered = sampled(EmotionBy.MODEL), sampled(EmotionBy.BOTH)
    curve = SCHEDULE.curve(FRAMES, 25.0)

    def laid_on(motion: Motion) -> Motion:
        return regenerate._layered(motion, curve, EmotionBy.BOTH, True)

    found = regenerate._without_layer(layered, laid_on)
    size = float((layered.expression - bare.expression).abs().max())
    # The layer acts on open lids alone, so it is not one to one: what is found gives the motion, near the bare one.
    assert float((laid_on(found).expression - layered.expression).abs().max()) < 0.001 * size
    assert float((found.expression - bare.expression).norm()) < 0.1 * float(
        (layered.expression - bare.expression).norm()
    )
    weak = again(layered, Regeneration(BEGIN, END, strength=0.02), EmotionBy.BOTH, seed=3)
    lost = again(layered, Regeneration(BEGIN, END, strength=0.02), EmotionBy.MODEL, seed=3)
    off = [float((m.expression - layered.expression)[BEGIN:END].norm()) for m in (weak, lost)]
    assert off[0] < 1.2 * off[1], "a layer that is there is not lost"


def test_ranges_of_time_are_frames_of_the_motion() -> None:
    motion = sampled(EmotionBy.MODEL)
    found = regenerations(read_ranges("2f - 5f, 0.4 -", 25.0), motion, 0.5, Part.POSE)
    assert found == [Regeneration(2, 5, 0.5, Part.POSE), Regeneration(10, FRAMES, 0.5, Part.POSE)]
    assert regenerations(read_ranges("1f - 10:00"), motion)[0].end == FRAMES
    with pytest.raises(UserError, match=r"no frame of the motion, which is .* s long"):
        regenerations(read_ranges("10:00 -"), motion)


def test_a_motion_of_other_keypoints_is_refused_for_what_it_is() -> None:
    """The motion is at fault, not the portrait."""
    foreign = replace(sampled(EmotionBy.MODEL), keypoint_space="liveportrait")
    with pytest.raises(UserError, match=r"The motion has liveportrait keypoints.*choose the model that sampled the"):
        again(foreign, Regeneration(BEGIN, END), EmotionBy.MODEL)
