"""Content Credentials: signed with a certificate of one's own, verified, refused before the slow part."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from certificates import SIGNER, Files, write_certificates

from playmate_core.cli import main as cli
from playmate_core.errors import UserError
from playmate_core.media.account import read_account
from playmate_core.media.concat import join
from playmate_core.media.credentials import Signing, check_signing, describe_credentials
from playmate_core.media.provenance import COMPOSITE, DRAWN, Mark, read_packet
from playmate_core.media.video_options import VideoOptions
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter


@pytest.fixture
def files(tmp_path: Path) -> Files:
    pytest.importorskip("c2pa", reason="c2pa-python is not installed (the extra c2pa)")
    folder = tmp_path / "certificates"
    folder.mkdir()
    return write_certificates(folder)


def video(path: Path, options: VideoOptions) -> Path:
    with VideoWriter(path, 25.0, None, options) as writer:
        writer.write(torch.full((5, 32, 32, 3), 0.5))
    return path


def manifest(path: Path) -> dict[str, Any]:
    c2pa = pytest.importorskip("c2pa")
    with path.open("rb") as file:
        found = json.loads(c2pa.Reader("video/mp4", file).json())
    active: dict[str, Any] = found["manifests"][found["active_manifest"]]
    return active


@pytest.mark.parametrize("kind", [DRAWN, COMPOSITE])
def test_a_video_is_signed_and_verifies(kind: str, files: Files, tmp_path: Path) -> None:
    options = VideoOptions(mark=Mark(kind, '{"seed": 3}'), signing=Signing(files.chain, files.key))
    path = video(tmp_path / "a.mp4", options)
    found = manifest(path)
    assert found["title"] == "a.mp4" and found["claim_generator_info"][0]["name"] == "Playmate"
    actions = next(one for one in found["assertions"] if one["label"].startswith("c2pa.actions"))["data"]["actions"]
    assert [(one["action"], one["digitalSourceType"]) for one in actions] == [("c2pa.created", kind)]
    assert kind in read_packet(path) and read_account(path).recipe == '{"seed": 3}'  # the mark is there beside it
    assert f"credentials  valid, signed by {SIGNER}" in str(read_account(path))
    assert len(list(read_frames(path))) == 5
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.mp4", "certificates"]


def test_joined_parts_are_signed_and_a_changed_byte_is_seen(files: Files, tmp_path: Path) -> None:
    plain = video(tmp_path / "part.mp4", VideoOptions(mark=None))
    options = VideoOptions(signing=Signing(files.chain, files.key))
    path = join([plain, plain], tmp_path / "b.mp4", 25.0, None, options)
    assert describe_credentials(path).startswith("valid")
    data = bytearray(path.read_bytes())
    data[data.index(b"mdat") + 60] ^= 1
    path.write_bytes(data)
    assert describe_credentials(path).startswith("NOT VALID (assertion.bmffHash.mismatch)")
    assert describe_credentials(plain) == "none"


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "secp384r1"])
def test_keys_of_every_kind_sign(kind: str, files: Files, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if kind == "rsa":
        key: Any = rsa.generate_private_key(65537, 2048)
    else:
        key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP384R1())
    made = write_certificates(tmp_path, key)
    check_signing(Signing(made.chain, made.key), True)


def test_what_cannot_sign_is_refused_in_a_sentence(files: Files, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    old = write_certificates(tmp_path / "old", days=-30)
    text = tmp_path / "text.pem"
    text.write_text("hello")
    for chain, key, said in (
        (files.chain, files.locked, "locked by a password"),
        (files.chain, files.other, "not that of the first certificate"),
        (files.chain, text, "no private key"),
        (files.chain, tmp_path / "absent.pem", "no key file"),
        (tmp_path / "absent.pem", files.key, "no certificate file"),
        (text, files.key, "no certificate in PEM"),
        (files.key, files.key, "no certificate in PEM"),
        (old.chain, old.key, "cannot sign a video"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            check_signing(Signing(chain, key), True)
        assert str(caught.value).count("\n") == 0
    with pytest.raises(UserError, match="--no-mark"):
        check_signing(Signing(files.chain, files.key), False)


@pytest.mark.parametrize("command", ["talk", "animate", "render", "demo"])
def test_commands_refuse_before_the_slow_part(
    command: str, portrait_picture: Path, speech_wave: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from playmate_core.weights.folders import bundled

    motion = tmp_path / "still.safetensors"
    motion.write_bytes(b"x")
    given = {"talk": [portrait_picture, speech_wave], "animate": [portrait_picture, bundled("driving.mp4")], "demo": []}
    words = [command, *map(str, given.get(command, [portrait_picture, motion])), "-o", str(tmp_path / "o.mp4")]
    assert cli.main([*words, "--sign", "cert.pem"]) == 2
    assert "--sign needs --key" in capsys.readouterr().err
    assert cli.main([*words, "--key", "key.pem"]) == 2
    assert "--key needs --sign" in capsys.readouterr().err
    assert cli.main([*words, "--sign", "no.pem", "--key", "no.pem"]) == 2
    said = capsys.readouterr().err
    assert ("no certificate file" in said or "run `pip install c2pa-python`" in said) and "Traceback" not in said
    assert not (tmp_path / "o.mp4").exists()


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *more: Any, **also: Any) -> Any:
        if name == "c2pa":
            raise ImportError(name)
        return imported(name, *more, **also)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="extra c2pa"):
        check_signing(Signing(tmp_path / "a.pem", tmp_path / "b.pem"), True)


def test_credentials_are_seen_without_the_package(files: Files, tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", VideoOptions(signing=Signing(files.chain, files.key)))
    code = "import sys; sys.modules['c2pa'] = None; from playmate_core.cli.main import main; main(sys.argv[1:])"
    told = subprocess.run([sys.executable, "-c", code, "describe", str(path)], capture_output=True, text=True)
    assert "there, not verified: run `pip install c2pa-python`" in told.stdout


def test_a_failed_signature_leaves_nothing(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 64 << 20})())
    options = VideoOptions(signing=Signing(files.chain, files.key))
    video = VideoWriter(tmp_path / "a.mp4", 25.0, None, options)
    video.write(torch.full((5, 32, 32, 3), 0.5))
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 10})())
    with pytest.raises(UserError, match="no room to sign a.mp4"):
        video.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["certificates"]


def test_talk_signs(
    files: Files,
    portrait_picture: Path,
    speech_wave: Path,
    tiny_face: Path,
    tiny_motion: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "out.mp4"
    weights = ["--face-weights", str(tiny_face), "--motion-weights", str(tiny_motion), "--emotion", "none"]
    job = ["talk", str(portrait_picture), str(speech_wave), "-o", str(path), *weights, "--steps", "2", "--any-picture"]
    assert cli.main([*job, "--sign", str(files.chain), "--key", str(files.key)]) == 0
    assert cli.main(["describe", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"valid, signed by {SIGNER}" in said and "chain.pem" not in said
    assert manifest(path)["title"] == "out.mp4"
