"""``playmate weights`` on the files of the public motion generators: what the catalogue knows is shown and compared."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from playmate_core.cli import main as cli
from playmate_core.weights.catalogue import DITTO, JOYVASA, JOYVASA_MODEL, JOYVASA_TEMPLATE, ModelFile
from playmate_core.weights.folders import megabytes

FILES = [*JOYVASA.files, *DITTO.files]
#: The nodes where a person chooses a generator and has it speak.
NODES = ("LoadMotionModel", "SampleMotion")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
    return tmp_path / "models"


def put(models: Path, file: ModelFile, size: int) -> Path:
    """An empty file of ``size`` bytes, which takes no room on the disk, where ``file`` belongs."""
    path = models / file.below_models
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as empty:
        empty.truncate(size)
    return path


def said_of(file: ModelFile, told: str) -> str:
    return next(line for line in told.splitlines() if line.split("  (")[0].endswith(file.below_models))


def test_every_file_is_listed_with_its_size_and_how_it_is_compared(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models.mkdir()
    assert cli.main(["weights", "list", "--models", str(models)]) == 0
    told = capsys.readouterr().out
    for file in FILES:
        line = said_of(file, told)
        assert file.size and f" {megabytes(file.size)} " in line and "missing" in line
        compared = f"SHA-256 {file.sha256[:12]}" if file.sha256 else "no public checksum, only its size is checked"
        assert compared in line
    for one, license in ((JOYVASA, "MIT"), (DITTO, "Apache-2.0")):
        origin = f"  {license}; {one.files[0].repository} at main, which is whatever is newest"
        assert origin in told.split(f"\n{one.name}: ")[1].splitlines()[1]
    assert any(file.sha256 for file in FILES) and not all(file.sha256 for file in FILES)


@pytest.mark.parametrize("page", ["README.md", *(f"nodes/web/docs/Playmate{node}.md" for node in NODES)])
def test_readme_and_help_say_what_each_generator_is(page: str) -> None:
    """Source, licences, sizes, languages, emotions and limits of each stand in one column of one table."""
    text = (Path(__file__).parent.parent / page).read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    begin = next(
        n for n, row in enumerate(rows) if {"joyvasa", "ditto"} <= {cell.lower().split(" ")[0] for cell in row}
    )
    head, table = rows[begin], [row for row in rows[begin:] if len(row) == len(rows[begin])]
    for one, emotions in ((JOYVASA, "none"), (DITTO, "eight")):
        column = [cell.lower().split(" ")[0] for cell in head].index(one.name)
        told = {row[0].split(" ")[0]: row[column] for row in table}
        every = " ".join(row[column] for row in table)
        assert one.files[0].repository in every and megabytes(one.files[0].size).split(".")[0] in every, told
        assert told["licence"].startswith(one.files[0].license) and told["emotions"].startswith(emotions), told
        assert "Chinese and English" in every and len(told["cannot"]) > 1, told
    assert "insightface" in text and "not needed" in text and "filled weights" in text


def test_check_compares_sizes_where_no_checksum_is_public_and_says_so(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in DITTO.files:
        put(models, file, file.size)
    assert cli.main(["weights", "check", "ditto", "--models", str(models)]) == 0
    told = capsys.readouterr().out
    assert all("only its size was compared" in said_of(file, told) for file in DITTO.files if not file.sha256)
    put(models, DITTO.files[0], DITTO.files[0].size - 1)
    assert cli.main(["weights", "check", "ditto", "--models", str(models)]) == cli.MISTAKE
    assert f"instead of {DITTO.files[0].size:,}" in capsys.readouterr().out


def test_check_knows_checksums_and_editions(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = JOYVASA_TEMPLATE.editions[0]
    put(models, JOYVASA_TEMPLATE, first.size)
    put(models, JOYVASA_MODEL, JOYVASA_MODEL.size)
    assert cli.main(["weights", "check", "joyvasa", "--models", str(models)]) == cli.MISTAKE
    told = capsys.readouterr().out
    assert f"instead of {JOYVASA_MODEL.sha256[:16]}" in told
    assert f"the edition of {first.when}; only its size was compared" in said_of(JOYVASA_TEMPLATE, told)


@pytest.mark.parametrize("chosen", [JOYVASA, DITTO], ids=lambda one: one.name)
def test_fetch_asks_for_each_missing_file_at_its_address(
    chosen: Any, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def metadata(url: str) -> SimpleNamespace:
        return SimpleNamespace(etag=hashlib.sha256(b"").hexdigest(), size=0, location=url)

    def download(url: str, stream: Any, **_: Any) -> None:
        asked.append(url)
        stream.truncate(next(file.size for file in FILES if file.url == url))

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", metadata)
    monkeypatch.setattr("huggingface_hub.file_download.http_get", download)
    kept, *missing = chosen.files
    put(models, kept, kept.size)
    assert cli.main(["weights", "fetch", chosen.name, "--models", str(models)]) == cli.MISTAKE  # of zeros
    out, err = capsys.readouterr()
    assert asked == [missing[0].url] and f"{len(missing)} files to fetch" in out and "SHA-256" in err
    assert all(file.url in out and megabytes(file.size) in out for file in missing) and kept.url not in out
    assert not (models / missing[0].below_models).exists()
