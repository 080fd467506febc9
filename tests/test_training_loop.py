"""The loop: what is interrupted and resumed ends bit for bit where the uninterrupted run ends."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from child_process import kill_where_it_waits, needs_sigkill
from toy_stage import CONFIG, Interrupted, Toy, ToyBatch, assert_same

from playmate_core.errors import UserError
from training.__main__ import main
from training.batches import step_seed, to_device
from training.config import LoopConfig, learning_rate, parse
from training.loop import train

KILLED = """
from toy_stage import CONFIG, Toy
from training.loop import train
train(Toy(23, wait_to_be_killed), CONFIG, sys.argv[1])
"""


@pytest.mark.parametrize("stop_at", [3, 10, 27])
def test_interrupted_and_resumed_is_uninterrupted_bit_for_bit(tmp_path: Path, stop_at: int) -> None:
    assert train(Toy(), CONFIG, tmp_path / "whole") == CONFIG.steps
    with pytest.raises(Interrupted):
        train(Toy(stop_at), CONFIG, tmp_path / "parts")
    assert train(Toy(), CONFIG, tmp_path / "parts") == CONFIG.steps
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_the_wall_budget_stops_cleanly_and_the_next_call_goes_on(tmp_path: Path) -> None:
    train(Toy(), CONFIG, tmp_path / "whole")
    short = dataclasses.replace(CONFIG, max_seconds=1e-6)
    reached = [train(Toy(), short, tmp_path / "parts") for _ in range(4)]
    assert reached == [1, 2, 3, 4]
    train(Toy(), CONFIG, tmp_path / "parts")
    assert_same(tmp_path / "whole", tmp_path / "parts")


@needs_sigkill
def test_kill_9_then_the_same_command_ends_in_the_same_weights(tmp_path: Path) -> None:
    kill_where_it_waits(KILLED, [tmp_path / "parts"])
    state = torch.load(tmp_path / "parts" / "state.pt", weights_only=True)
    assert state["step"] == 20
    train(Toy(), CONFIG, tmp_path / "parts")
    train(Toy(), CONFIG, tmp_path / "whole")
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_another_config_is_refused_except_for_what_does_not_change_the_run(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(Toy(25), CONFIG, tmp_path)
    with pytest.raises(UserError, match=r"another config \(lr 0.01 -> 0.5\)"):
        train(Toy(), dataclasses.replace(CONFIG, lr=0.5), tmp_path)
    assert train(Toy(), dataclasses.replace(CONFIG, steps=30, log_every=3), tmp_path) == 30


def test_a_loss_that_is_not_finite_is_refused_and_the_last_state_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="loss is nan"):
        train(Toy(poison=25), CONFIG, tmp_path)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 20


def test_the_average_is_delivered_and_the_learning_weights_kept(tmp_path: Path) -> None:
    toy = Toy()
    train(toy, CONFIG, tmp_path)
    delivered = torch.load(tmp_path / "net.pt", weights_only=True)
    assert not torch.equal(delivered["0.weight"], toy.net.state_dict()["0.weight"])
    average = torch.load(tmp_path / "state.pt", weights_only=True)["average"]
    assert torch.equal(delivered["0.weight"], average[0])


def test_bf16_runs_on_the_cpu(tmp_path: Path) -> None:
    assert train(Toy(), dataclasses.replace(CONFIG, steps=5, mixed_precision="bf16"), tmp_path) == 5


def test_the_rate_rises_then_follows_a_cosine() -> None:
    config = LoopConfig(steps=110, warmup=10, final_lr=0.1)
    assert learning_rate(config, 0) == pytest.approx(0.1)
    assert learning_rate(config, 10) == pytest.approx(1.0)
    assert learning_rate(config, 60) == pytest.approx(0.55)
    assert learning_rate(config, 110) == pytest.approx(0.1)


def test_seeds_of_steps_differ() -> None:
    assert len({step_seed(seed, step, rank) for seed in range(3) for step in range(500) for rank in range(2)}) == 3000


def test_every_tensor_of_a_value_is_moved() -> None:
    moved = to_device({"a": ToyBatch(torch.ones(2)), "b": (torch.ones(1), 3)}, torch.device("meta"))
    assert moved["a"].x.device.type == "meta" and moved["b"][0].device.type == "meta" and moved["b"][1] == 3


@dataclass(frozen=True)
class Inner:
    width: int = 8


@dataclass(frozen=True)
class Outer(LoopConfig):
    corpus: str = "here"
    deep: bool = False
    model: Inner = field(default_factory=Inner)


def test_a_config_is_read_back_from_its_file_and_flags_override_it(tmp_path: Path) -> None:
    first = parse(Outer, ["--model-width", "16", "--lr", "0.5", "--deep", "--betas", "0.5", "0.75"], "toy")
    assert first == Outer(model=Inner(16), lr=0.5, deep=True, betas=(0.5, 0.75))
    file = tmp_path / "config.json"
    file.write_text(json.dumps(dataclasses.asdict(first)))
    assert parse(Outer, ["--config", str(file), "--corpus", "there"], "toy") == dataclasses.replace(
        first, corpus="there"
    )


def test_a_config_with_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"learning_rate": 1}')
    with pytest.raises(UserError, match="unknown key 'learning_rate'"):
        parse(Outer, ["--config", str(file)], "toy")
    with pytest.raises(UserError, match="Cannot read"):
        parse(Outer, ["--config", str(tmp_path / "none.json")], "toy")


def test_an_unknown_verb_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stage3"]) == 2
    said = capsys.readouterr().err
    assert "stage3" in said and "stage1" in said and "evaluate" in said
