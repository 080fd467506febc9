"""Fetching from a hub that this test plays."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from catalogue_files import (
    CONTENT,
    REVISION,
    file,  # noqa: F401
)
from model_places import put

from playmate_core.atomic_file import MARK, is_temporary
from playmate_core.errors import UserError
from playmate_core.weights.catalogue import SETS, ModelFile
from playmate_core.weights.download import fetch, waiting_for
from playmate_core.weights.folders import by_hand, mismatch


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


def test_a_partial_download_has_our_mark_and_foreign_files_stay(hub: Hub, file: ModelFile, tmp_path: Path) -> None:
    target = tmp_path / file.below_models
    part = waiting_for(file, target)
    assert f".{MARK}-" in part.name and not is_temporary(part.name)  # kept for the next fetch, not removed as stale
    foreign = put(target.with_name(f".{target.name}.{file.revision[:12]}.part"), b"not ours")
    fetch(file, target, hub.address)
    assert foreign.read_bytes() == b"not ours" and target.read_bytes() == CONTENT


def test_what_is_no_file_at_the_place_of_a_partial_download_is_left_alone(
    hub: Hub, file: ModelFile, tmp_path: Path
) -> None:
    target = tmp_path / file.below_models
    precious = put(tmp_path / "precious", b"not ours")
    part = waiting_for(file, target)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.symlink_to(precious)
    with pytest.raises(UserError, match="move it away"):
        fetch(file, target, hub.address)
    assert precious.read_bytes() == b"not ours" and part.is_symlink() and not target.exists()
