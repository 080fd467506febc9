"""The emotion layer: straight in intensity, silent at 0, the pose and the blinks kept, the lips left to the voice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from playmate_core.diffusion.emotion_schedule import EmotionSchedule
from playmate_core.errors import UserError
from playmate_core.keypoint_space import LIVEPORTRAIT
from playmate_core.keypoint_space import PLAYMATE_DEMO as DEMO
from playmate_core.motion.directions import SLIDERS, Y, directions
from playmate_core.motion.expression_layer import TABLE, EmotionTable, LayerOptions, add_emotion, add_emotion_to_pieces
from playmate_core.values import BROWS, EMOTIONS, LIDS, LIP_CORNERS, EmotionCurve, Motion, Pose
from playmate_core.weights.folders import bundled

SPACES = (LIVEPORTRAIT, DEMO)
FELT = tuple(name for name in EMOTIONS if name != "neutral")
#: How far a lip travels over speech: LivePortrait's largest opening (docs/liveportrait.md 13), and the rig's jaw.
LIP_RANGE = {LIVEPORTRAIT: 0.082, DEMO: 0.100}
#: Any two emotions at full intensity lie at least so far apart (canonical units, all keypoints together).
MARGIN = {LIVEPORTRAIT: 0.018, DEMO: 0.045}
#: ... and point in directions at least so many degrees apart, neutral having none.
ANGLE = 44.0
#: Where emotions show.
SHOWN = (*BROWS, *(point for lids in LIDS for point in lids), *LIP_CORNERS)

spaces = st.sampled_from(SPACES)
emotions = st.sampled_from(FELT)
seeds = st.integers(0, 2**31)


def moving(seed: int, frames: int = 40, space: str = LIVEPORTRAIT, blinks: bool = False) -> Motion:
    """A motion of open eyes, some numbers of which are -0.0, that blinks at frames 10 and 25 where it is asked to."""
    draw = torch.Generator().manual_seed(seed)
    expression = 0.002 * torch.randn(frames, 21, 3, generator=draw)
    expression[:, 9] = -0.0
    for upper, lower in LIDS if blinks else ():
        closing = torch.zeros(frames)
        for at in (10, 25):
            closing[at : at + 6] = torch.tensor([0.3, 0.6, 0.9, 1.0, 0.8, 0.4])
        expression[:, [upper, lower]] = 0.0
        expression[:, upper, Y] += closing * directions(space).lid_travel
    rotation = 20.0 * torch.randn(frames, 3, generator=draw)
    translation, scale = torch.randn(frames, 3, generator=draw), torch.rand(frames, 1, generator=draw) + 0.5
    return Motion(Pose(rotation, translation, scale), expression, space)


def held(name: str, intensity: float, frames: int = 40) -> EmotionCurve:
    return EmotionCurve.constant(name, intensity, frames)


def displaced(motion: Motion, *where: object, **how: object) -> Tensor:
    return (add_emotion(motion, *where, **how).expression - motion.expression).double()  # type: ignore[arg-type]


def same_bits(first: Tensor, second: Tensor) -> bool:
    """Bit for bit: -0.0 is not 0.0 here."""
    return torch.equal(first.view(torch.int32), second.view(torch.int32))


def aperture(motion: Motion, lids: tuple[int, int]) -> Tensor:
    upper, lower = lids
    return motion.expression[:, lower, Y] - motion.expression[:, upper, Y]


@given(seed=seeds, name=st.sampled_from(EMOTIONS), space=spaces)
def test_intensity_zero_returns_the_motion_bit_for_bit(seed: int, name: str, space: str) -> None:
    motion = moving(seed, space=space)
    for curve, options in (
        (held(name, 0.0), LayerOptions()),
        (held(name, 1.0), LayerOptions(strength=0.0)),
        (held("neutral", 1.0), LayerOptions()),
        (None, LayerOptions()),
        (replace(held(name, 1.0), weights=torch.zeros(40, len(EMOTIONS))), LayerOptions()),
    ):
        assert same_bits(add_emotion(motion, curve, options=options).expression, motion.expression)


@given(seed=seeds, name=emotions, intensity=st.floats(0.0, 1.0), space=spaces)
def test_the_pose_and_the_input_are_untouched_in_every_bit(seed: int, name: str, intensity: float, space: str) -> None:
    motion = moving(seed, space=space)
    before = motion.expression.clone()
    pose = add_emotion(motion, held(name, intensity)).pose
    for part in ("rotation", "translation", "scale"):
        assert same_bits(getattr(pose, part), getattr(motion.pose, part))
    assert pose.fps == motion.fps and same_bits(motion.expression, before)


@given(seed=seeds, name=emotions, intensity=st.floats(0.0, 1.0), space=spaces)
def test_brows_lids_and_lip_corners_move_in_a_straight_line(seed: int, name: str, intensity: float, space: str) -> None:
    motion = moving(seed, blinks=True, space=space)
    full, part = displaced(motion, held(name, 1.0)), displaced(motion, held(name, intensity))
    shown = list(SHOWN)
    assert_close(part[:, shown], intensity * full[:, shown], rtol=0, atol=2e-8)  # float32 near 0.1


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", FELT)
def test_more_intensity_moves_every_shown_group_further(name: str, space: str) -> None:
    still = moving(0, space=space)
    steps = torch.stack([displaced(still, held(name, i / 10))[0] for i in range(11)])  # (11, K, 3)
    groups = [BROWS, (*LIDS[0], *LIDS[1]), LIP_CORNERS]
    reach = torch.stack([steps[:, list(group)].flatten(1).norm(dim=-1) for group in groups])
    moves = reach[:, -1] > 1e-6
    assert moves.sum() >= 2, "an emotion shows in at least two of brows, lids and lip corners"
    assert bool((reach[moves].diff(dim=-1) > 0).all())


@given(seed=seeds, name=emotions, intensity=st.floats(0.0, 1.0), space=spaces)
def test_lips_open_as_the_voice_wants_them(seed: int, name: str, intensity: float, space: str) -> None:
    moved = displaced(moving(seed, space=space), held(name, intensity))
    change = (moved[:, 19, Y] - moved[:, 20, Y]).abs().max()
    assert float(change) <= 1e-6 < 0.03 * LIP_RANGE[space]


def test_without_the_lip_lock_a_smile_would_open_them() -> None:
    moved = displaced(moving(0), held("happy", 1.0), options=LayerOptions(lip_lock=0.0))
    assert float((moved[:, 19, Y] - moved[:, 20, Y]).mean()) > 0.03 * LIP_RANGE[LIVEPORTRAIT]


@pytest.mark.parametrize("space", SPACES)
def test_the_eight_emotions_lie_apart(space: str) -> None:
    motion = moving(0, space=space)
    moved = torch.stack([displaced(motion, held(name, 1.0))[0].flatten() for name in EMOTIONS])
    apart = torch.cdist(moved, moved) + torch.eye(len(EMOTIONS))
    assert float(apart.min()) >= MARGIN[space]
    felt = torch.nn.functional.normalize(moved[[EMOTIONS.index(name) for name in FELT]], dim=-1)
    cosines = felt @ felt.T - 2 * torch.eye(len(FELT))
    assert float(torch.rad2deg(torch.arccos(cosines.max()))) >= ANGLE


@given(name=emotions, intensity=st.floats(0.0, 1.0), space=spaces)
@example(name="contempt", intensity=1.0, space=LIVEPORTRAIT)  # the narrowest eye
def test_blinks_stay_blinks(name: str, intensity: float, space: str) -> None:
    motion = moving(0, blinks=True, space=space)
    felt = add_emotion(motion, held(name, intensity))
    for lids in LIDS:
        for shut in (13, 28):  # the frame of a full closure
            assert same_bits(felt.expression[shut, list(lids)], motion.expression[shut, list(lids)])
        was, now = aperture(motion, lids), aperture(felt, lids)
        for start in (9, 24):  # the lids still come down and go up in the order they did
            closing, opening = slice(start, start + 5), slice(start + 4, start + 8)
            assert bool((was[closing].diff() < 0).all() and (now[closing].diff() < 1e-6).all())
            assert bool((was[opening].diff() > 0).all() and (now[opening].diff() > -1e-6).all())


def test_a_schedule_is_followed_frame_by_frame() -> None:
    motion = moving(3, frames=100)
    curve = EmotionSchedule.written("0:happy@0.5,2:sad", 1.0).curve(100)
    assert curve is not None
    moved = displaced(motion, curve)
    happy, sad = displaced(motion, held("happy", 0.5, 100)), displaced(motion, held("sad", 1.0, 100))
    assert_close(moved[:40], happy[:40], rtol=0, atol=2e-8)
    assert_close(moved[50:], sad[50:], rtol=0, atol=2e-8)
    middle = moved[45] @ (sad[45] - happy[45]).T
    assert 0 < float(middle.trace()) < float((sad[45] @ (sad[45] - happy[45]).T).trace())


@given(seed=seeds, first=emotions, second=emotions, space=spaces)
def test_a_blend_adds_what_its_parts_add(seed: int, first: str, second: str, space: str) -> None:
    motion = moving(seed, space=space)
    curve = EmotionSchedule.constant(first, 0.8).blended(EmotionSchedule.constant(second, 0.8), 0.5).curve(40)
    parts = displaced(motion, held(first, 0.4)) + displaced(motion, held(second, 0.4))
    assert_close(displaced(motion, curve), parts, rtol=0, atol=1e-7)


def test_emotions_go_by_name_in_any_order() -> None:
    motion, turned = moving(1), EMOTIONS[::-1]
    curve = EmotionCurve(torch.eye(8)[turned.index("fear")].expand(40, 8), torch.ones(40), turned)
    assert torch.equal(displaced(motion, curve), displaced(motion, held("fear", 1.0)))


def test_what_does_not_fit_the_motion_is_refused() -> None:
    motion = moving(0)
    with pytest.raises(UserError, match="39 frames and the motion 40"):
        add_emotion(motion, held("happy", 1.0, 39))
    with pytest.raises(ValueError, match="25 and 30 fps"):
        add_emotion(motion, replace(held("happy", 1.0), fps=30.0))
    with pytest.raises(UserError, match="NaN"):
        add_emotion(motion, replace(held("happy", 1.0), intensity=torch.full((40,), float("nan"))))
    with pytest.raises(UserError, match="does not know 'smug'.*happy"):
        add_emotion(motion, EmotionCurve(torch.ones(40, 1), torch.ones(40), ("smug",)))
    with pytest.raises(UserError, match="keypoints 'animal'"):
        add_emotion(replace(motion, keypoint_space="animal"), held("happy", 1.0))
    for options in ({"strength": 2.5}, {"strength": float("nan")}, {"lip_lock": -0.1}):
        with pytest.raises(UserError, match="please give a number from 0"):
            LayerOptions(**options)


def test_one_frame_and_none_are_motions_too() -> None:
    assert float(displaced(moving(0, frames=1), held("happy", 1.0, 1)).abs().max()) > 0.01
    assert len(add_emotion(moving(0)[:0], held("happy", 1.0, 0))) == 0


@given(seed=seeds, name=emotions, cut=st.integers(1, 39))
def test_pieces_are_laid_over_as_the_whole_but_for_how_open_eyes_are(seed: int, name: str, cut: int) -> None:
    motion, curve = moving(seed), held(name, 1.0)
    pieces = list(add_emotion_to_pieces(iter([motion[:cut], motion[cut:]]), curve))
    assert [len(piece) for piece in pieces] == [cut, 40 - cut]
    whole = add_emotion(motion, curve).expression
    elsewhere = [point for point in range(21) if point not in (*LIDS[0], *LIDS[1])]
    assert torch.equal(torch.cat([piece.expression for piece in pieces])[:, elsewhere], whole[:, elsewhere])


def test_the_lids_of_every_piece_go_by_those_of_the_first() -> None:
    motion, curve = moving(0, blinks=True), held("surprised", 1.0)
    shut = list(add_emotion_to_pieces([motion[:10], motion[12:15]], replace(curve)))[1]
    lids = [*LIDS[0], *LIDS[1]]
    assert same_bits(shut.expression[1, lids], motion.expression[13, lids])


def test_pieces_without_emotion_pass_and_past_the_curve_are_refused() -> None:
    motion = moving(0)
    assert list(add_emotion_to_pieces([motion], None)) == [motion]
    with pytest.raises(UserError, match="0 frames and the motion 40"):
        list(add_emotion_to_pieces([motion, motion], held("happy", 1.0)))


# The table


def test_the_bundled_table_names_the_eight_and_leaves_neutral_alone() -> None:
    table = EmotionTable.read()
    assert sorted(table.names) == sorted(EMOTIONS) and table.values.shape == (8, len(SLIDERS))
    assert not table.values[table.names.index("neutral")].any()


def copied(tmp_path: Path, change: object) -> Path:
    document = json.loads(bundled(TABLE).read_text())
    change(document)  # type: ignore[operator]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    return path


def test_an_artist_changes_a_copy(tmp_path: Path) -> None:
    path = copied(tmp_path, lambda document: document["emotions"].update(happy={"smile": 0.55}))
    mine, motion = EmotionTable.read(path), moving(0)
    half = displaced(motion, held("happy", 1.0), table=mine)
    only_smile = EmotionTable.of({name: {"smile": 1.1} for name in EMOTIONS})
    assert_close(half, 0.5 * displaced(motion, held("happy", 1.0), table=only_smile), rtol=0, atol=2e-8)
    assert torch.equal(displaced(motion, held("sad", 1.0), table=mine), displaced(motion, held("sad", 1.0)))


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda d: d["emotions"].pop("sad"), "says nothing of 'sad'"),
        (lambda d: d["emotions"].update(smug={}), "names 'smug'.*angry"),
        (lambda d: d["emotions"]["sad"].update(grin=1), "Unknown slider 'grin'"),
        (lambda d: d["emotions"]["sad"].update(smile=9), "slider smile is 9.*-0.5 to 1.3"),
        (lambda d: d["emotions"]["sad"].update(smile="wide"), "sets smile of sad to wide"),
        (lambda d: d["emotions"]["sad"].update(smile=True), "sets smile of sad to True"),
        (lambda d: d["emotions"]["sad"].update(smile=10**400), "sets smile of sad to 1000"),
        (lambda d: d["emotions"]["sad"].update(smile=float("nan")), "sets smile of sad to nan"),
        (lambda d: d["emotions"]["sad"].update(yaw=3), "'yaw' for sad.*head pose"),
        (lambda d: d["emotions"].update(sad=[1]), 'must hold "emotions"'),
        (lambda d: d.update(emotions=3), 'must hold "emotions"'),
        (lambda d: d.update(version=2), "version 2, expected 'emotion layer' version 1"),
        (lambda d: d.pop("playmate"), "says it is None"),
    ],
)
def test_a_table_that_says_something_else_is_refused(tmp_path: Path, change: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        EmotionTable.read(copied(tmp_path, change))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    with pytest.raises(UserError, match="There is no emotion table"):
        EmotionTable.read(path)
    for text, said in (
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1]", "is no emotion table"),
        ('{"emotions": {"sad": {}, "sad": {}}}', "'sad' stands there twice"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=said):
            EmotionTable.read(path)
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(UserError, match="is no JSON"):
        EmotionTable.read(path)
    path.write_text(" " * 1_000_001)
    with pytest.raises(UserError, match="too large"):
        EmotionTable.read(path)
