"""`playmate weights`: what is here, what differs, what is fetched."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from catalogue_files import EVERY
from model_places import put

from playmate_core.cli import main as cli
from playmate_core.weights.catalogue import LIVEPORTRAIT_ANIMAL, LIVEPORTRAIT_HUMAN, SETS
from playmate_core.weights.folders import by_hand


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
    return tmp_path / "home"


def test_list_tells_of_every_file_whether_it_is_here(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = put(home / ".playmate/models" / LIVEPORTRAIT_HUMAN.files[1].below_models, b"x" * 60_000)
    assert cli.main(["weights", "list"]) == 0
    told = capsys.readouterr().out
    assert all(file.name in told for file in EVERY) and all(one.purpose in told for one in SETS.values())
    assert re.search(rf"here +0\.1 MB +{re.escape(str(here))}", told)
    assert "non-commercial" in told and "59f30f36d7b7" in told


def test_check_names_what_differs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["weights", "check"]) == 0
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path / "extra"))
    mesh, config = SETS["mediapipe"].files[0], SETS["wav2vec2"].files[1]
    put(tmp_path / "extra" / mesh.below_models, b"x" * mesh.size)
    put(tmp_path / "flag" / config.below_models)
    capsys.readouterr()
    assert cli.main(["weights", "check", "--models", str(tmp_path / "flag")]) == cli.MISTAKE
    out, err = capsys.readouterr()
    assert "its SHA-256 is" in out and "it has 1 bytes instead of 1,596" in out
    assert "2 of the files" in err
    assert cli.main(["weights", "check", "landmarks"]) == cli.MISTAKE
    assert "missing" in capsys.readouterr().out


def test_fetch_shows_everything_first_and_needs_a_set_s_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["weights", "fetch", "wings"]) == cli.MISTAKE
    assert "There is no set wings" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "playmate_core.weights.download", None)  # as in the registry's archive
    assert cli.main(["weights", "fetch", "liveportrait"]) == cli.MISTAKE
    out, err = capsys.readouterr()
    models = home / ".playmate/models"
    assert all(by_hand(file, models / file.below_models) in out for file in LIVEPORTRAIT_HUMAN.files)
    assert "520.7 MB" in out and "cannot fetch" in err
    assert cli.main(["weights", "fetch", "playmate"]) == 0
    assert "Everything is here" in capsys.readouterr().out


def test_fetch_puts_each_missing_file_into_the_first_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def metadata(url: str) -> SimpleNamespace:
        return SimpleNamespace(etag=hashlib.sha256(b"animal").hexdigest(), size=6, location=url)

    def download(url: str, stream: Any, **_: Any) -> None:
        asked.append(url)
        stream.write(b"animal")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
    monkeypatch.setattr("huggingface_hub.file_download.http_get", download)
    put(home / ".playmate/models" / LIVEPORTRAIT_ANIMAL.files[0].below_models)
    assert cli.main(["weights", "fetch", "liveportrait-animal", "--models", str(tmp_path / "models")]) == 0
    assert asked == [file.url for file in LIVEPORTRAIT_ANIMAL.files[1:]]
    for file in LIVEPORTRAIT_ANIMAL.files[1:]:
        assert (tmp_path / "models" / file.below_models).read_bytes() == b"animal"
    assert "no checksum is known" in capsys.readouterr().out
