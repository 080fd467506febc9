"""The files of others: the table's facts, where they are looked for, and fetching from a hub that this test plays."""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from model_places import put

from playmate_core.cli import main as cli
from playmate_core.errors import UserError
from playmate_core.host import HOST
from playmate_core.weights.catalogue import ANIMAL, HUMAN, NEWEST, SETS, ModelFile
from playmate_core.weights.download import fetch, waiting_for
from playmate_core.weights.folders import PACKAGE, Places, below, by_hand, insightface_folders, mismatch
from playmate_core.weights.liveportrait import GROUPS, PARTS, STITCHING, find_parts

ROOT = Path(__file__).resolve().parent.parent
KEYS = json.loads((ROOT / "tests" / "data" / "liveportrait_keys.json").read_text())
EVERY = [file for one in SETS.values() for file in one.files]
CONTENT = bytes(range(256)) * 4096  # 1 MiB
REVISION = "0123456789" * 4


@pytest.mark.parametrize("file", EVERY, ids=lambda file: file.below_models)
def test_facts_have_the_form_of_facts(file: ModelFile) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}|", file.sha256)
    assert bool(file.repository) != bool(file.address)
    if file.repository:
        assert re.fullmatch(r"[0-9a-f]{40}", file.revision) or (file.revision == NEWEST and file.size)
        assert file.source
        assert file.url.endswith(f"{file.repository}/resolve/{file.revision}/{file.source}")
    assert file.license and file.size >= 0 and bool(file.size) >= bool(file.sha256)


def test_no_two_files_have_one_place() -> None:
    assert len({file.below_models for file in EVERY}) == len(EVERY)


def safetensors_size(shapes: dict[str, list[int]]) -> int:
    """Bytes of a file as safetensors writes it from PyTorch: wide types first, then by name; counters are int64."""
    order = sorted(shapes, key=lambda key: (not key.endswith("num_batches_tracked"), key))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key in order:
        counter = key.endswith("num_batches_tracked")
        start, end = end, end + math.prod(shapes[key]) * (8 if counter else 4)
        header[key] = {"dtype": "I64" if counter else "F32", "shape": shapes[key], "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"))
    return 8 + -(-len(text) // 8) * 8 + end


@pytest.mark.parametrize("file", HUMAN.files, ids=lambda file: file.name)
def test_stated_sizes_are_to_the_byte_those_of_the_keys_we_load(file: ModelFile) -> None:
    """A file with our keys and shapes would have the published size: no key of the public files is other than ours."""
    name = file.name.removesuffix(".safetensors")
    if name == STITCHING:
        groups = {theirs: KEYS[f"stitching.{ours}"]["shapes"] for theirs, ours in GROUPS.items()}
        shapes = {f"{theirs}_module.{key}": shape for theirs, group in groups.items() for key, shape in group.items()}
    else:
        shapes = KEYS[PARTS[name][0]]["shapes"]
    assert safetensors_size(shapes) == file.size


@pytest.fixture
def file() -> ModelFile:
    return ModelFile(
        folder="playmate",
        name="sub/other.safetensors",
        license="MIT",
        repository="someone/models",
        revision=REVISION,
        source="deep/other.safetensors",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


#: As people write them: a disk of models with the folders below it, and a block without.
EXTRA = """
nas:
    base_path: ../nas
    is_default: true
    liveportrait: |
        portraits

    insightface: faces
others:
    liveportrait: /elsewhere/lp
nothing:
"""


def test_files_are_found_in_order_and_bundled_ones_last(tmp_path: Path) -> None:
    places = Places.below([tmp_path / "a", tmp_path / "b"])
    lips = HUMAN.files[0]
    assert places.find(lips) is None and places.target(lips) == tmp_path / "a" / lips.below_models
    second = put(tmp_path / "b" / lips.below_models)
    assert places.find(lips) == second
    first = put(tmp_path / "a" / lips.below_models)
    assert places.find(lips) == first
    face = next(file for file in SETS["playmate"].files if file.name == "face.safetensors")
    assert places.find(face) == PACKAGE / "bundled" / "face.safetensors"
    assert places.find(face) != put(tmp_path / "b/playmate/face.safetensors")


def test_a_bundled_file_is_found_after_the_user_s_own(tmp_path: Path) -> None:
    face = SETS["playmate"].files[0]
    mine = put(tmp_path / "playmate" / face.name)
    assert Places.below([tmp_path]).find(face) == mine


def test_folders_that_comfyui_names_are_searched_whatever_their_names(tmp_path: Path) -> None:
    """As nodes fill them from folder_paths, after extra_model_paths.yaml."""
    places = Places({"liveportrait": (tmp_path / "nas/portraits", tmp_path / "lp")})
    found = put(tmp_path / "lp/animal" / ANIMAL.files[0].name.removeprefix("animal/"))
    assert places.find(ANIMAL.files[0]) == found
    assert places.resolve(Path("liveportrait/animal")) == tmp_path / "lp/animal"
    assert places.resolve(Path("animal")) == tmp_path / "lp/animal"
    assert places.resolve(Path("nowhere")) == Path("nowhere")
    with pytest.raises(UserError, match="No folder is known for audio_encoders"):
        places.target(SETS["wav2vec2"].files[0])


@pytest.mark.parametrize("name", ["liveportrait", "liveportrait-animal", "liveportrait-official-animal"])
def test_what_is_fetched_is_what_the_loader_finds(tmp_path: Path, name: str) -> None:
    places = Places.below([tmp_path])
    for one in {name, "liveportrait" if "official" not in name else "liveportrait-official"}:
        for file in SETS[one].files:
            put(places.target(file))
    parts = find_parts(places.target(SETS[name].files[0]).parent)
    assert set(parts.values()) >= {places.target(file).resolve() for file in SETS[name].files}
    assert len(parts) == 5  # with the human stitching file


def test_the_pack_looks_into_the_comfyui_it_lies_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "playmate_core.weights.folders.PACKAGE", tmp_path / "ComfyUI/custom_nodes/playmate/playmate_core"
    )
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
    monkeypatch.setattr(HOST, "_model_folders", lambda category: below([tmp_path / "named"], category))
    folders = Places.standard().folders["liveportrait"]
    assert folders[:2] == (tmp_path / "named/liveportrait", tmp_path / "ComfyUI/models/liveportrait")
    put(tmp_path / "ComfyUI/extra_model_paths.yaml", EXTRA.encode())
    assert Places.standard().folders["liveportrait"][1:4] == (
        tmp_path / "ComfyUI/models/liveportrait",
        tmp_path / "ComfyUI/../nas/portraits",
        Path("/elsewhere/lp"),
    )
    found = put(tmp_path / "nas/faces/models/buffalo_l/det_10g.onnx")
    assert Places.standard().find(
        SETS["insightface"].files[0]
    ) == tmp_path / "ComfyUI/../nas/faces" / found.relative_to(tmp_path / "nas/faces")
    assert tmp_path / "ComfyUI/../nas/faces/models/buffalo_l" in insightface_folders("buffalo_l")
    for nonsense in ("liveportrait: folder", "- a\n- b", "a: {base_path: 3}", "a: [", "\x00"):
        put(tmp_path / "ComfyUI/extra_model_paths.yaml", nonsense.encode())
        with pytest.raises(UserError, match="extra_model_paths.yaml is no file of extra model paths"):
            Places.standard()


@dataclass
class Hub:
    """What the fake hub serves, and what was asked of it. ``stop_at``: it hangs up after so many bytes."""

    content: bytes = CONTENT
    stop_at: int | None = None
    ranges: list[str] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    served = Hub()

    class Handler(BaseHTTPRequestHandler):
        def head(self, status: int, length: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", f'"{hashlib.sha256(served.content).hexdigest()}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.head(200, len(served.content))

        def do_GET(self) -> None:
            if "/resolve/" not in self.path:
                self.send_error(404)
                return
            asked = self.headers.get("Range", "")
            served.ranges.append(asked)
            start = int(re.findall(r"\d+", asked)[0]) if asked else 0
            rest = served.content[start:]
            self.head(206 if asked else 200, len(rest))
            self.wfile.write(rest if served.stop_at is None else rest[: max(served.stop_at - start, 0)])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_fetched_file_lies_whole_where_it_belongs_and_nothing_else(hub: Hub, file: ModelFile, tmp_path: Path) -> None:
    target = tmp_path / file.below_models
    assert fetch(file, target, hub.address) == target
    assert target.read_bytes() == CONTENT and mismatch(file, target) == ""
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [target]


def test_an_interrupted_fetch_goes_on_where_it_stopped(
    hub: Hub, file: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits between its own tries
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)  # it keeps whole chunks, of 10 MB
    target, hub.stop_at = tmp_path / file.below_models, 600_000
    with pytest.raises(UserError, match="could not be fetched") as caught:
        fetch(file, target, hub.address)
    assert not target.exists()
    assert file.url in str(caught.value) and str(target) in str(caught.value)  # what to put where, by hand
    hub.stop_at = None
    hub.ranges.clear()
    fetch(file, target, hub.address)
    assert target.read_bytes() == CONTENT
    assert hub.ranges == ["bytes=600000-"]


@pytest.mark.parametrize("spoilt", [CONTENT[:-1] + b"!", CONTENT + b"more"])
def test_another_file_than_the_table_s_is_not_kept(hub: Hub, file: ModelFile, tmp_path: Path, spoilt: bytes) -> None:
    hub.content = spoilt
    target = put(tmp_path / file.below_models, b"the old one")
    with pytest.raises(UserError, match="not the file that was asked for"):
        fetch(file, target, hub.address)
    assert target.read_bytes() == b"the old one"


def test_without_a_known_checksum_the_hub_s_own_is_asked_for(hub: Hub, file: ModelFile, tmp_path: Path) -> None:
    unknown, target = replace(file, sha256="", size=0), tmp_path / file.below_models
    put(waiting_for(unknown, target), b"?" * 1000)  # the start of another file
    with pytest.raises(UserError, match="SHA-256"):
        fetch(unknown, target, hub.address)
    assert not list(tmp_path.rglob("*.part"))
    fetch(unknown, target, hub.address)
    assert target.read_bytes() == CONTENT


def test_offline_it_says_what_to_put_where(file: ModelFile, tmp_path: Path) -> None:
    target = tmp_path / file.below_models
    with pytest.raises(UserError) as caught:
        fetch(file, target, "http://127.0.0.1:9")  # nobody listens there
    assert by_hand(file, target) in str(caught.value) and file.sha256 in str(caught.value)
    assert not target.exists()


def test_too_little_space_is_said_before_anything_is_fetched(
    hub: Hub, file: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=len(CONTENT) - 1))
    with pytest.raises(UserError, match="needs 1.0 MB .* free some space"):
        fetch(file, tmp_path / file.below_models, hub.address)
    assert hub.ranges == []


def test_what_does_not_lie_on_the_hub_is_left_to_the_person(tmp_path: Path) -> None:
    mesh = SETS["mediapipe"].files[0]
    with pytest.raises(UserError, match="fetch it by hand") as caught:
        fetch(mesh, tmp_path / mesh.name)
    assert mesh.address in str(caught.value)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.delenv("PLAYMATE_MODELS", raising=False)
    return tmp_path / "home"


def test_list_tells_of_every_file_whether_it_is_here(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = put(home / ".playmate/models" / HUMAN.files[1].below_models, b"x" * 60_000)
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
    assert all(by_hand(file, models / file.below_models) in out for file in HUMAN.files)
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
    put(home / ".playmate/models" / ANIMAL.files[0].below_models)
    assert cli.main(["weights", "fetch", "liveportrait-animal", "--models", str(tmp_path / "models")]) == 0
    assert asked == [file.url for file in ANIMAL.files[1:]]
    assert all((tmp_path / "models" / file.below_models).read_bytes() == b"animal" for file in ANIMAL.files[1:])
    assert "no checksum is known" in capsys.readouterr().out


def test_only_the_fetching_file_can_download_and_the_archive_leaves_it_out() -> None:
    ignored = (ROOT / ".comfyignore").read_text().split()
    assert "playmate_core/weights/download.py" in ignored
    able = [p.name for p in (ROOT / "playmate_core").rglob("*.py") if "huggingface_hub" in p.read_text()]
    assert able == ["download.py"]
    users = [p.name for p in (ROOT / "playmate_core").rglob("*.py") if "weights.download import" in p.read_text()]
    assert users == ["weights.py"]
