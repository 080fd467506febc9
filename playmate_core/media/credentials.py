"""Content Credentials: a manifest signed with the user's own certificate (docs/marking.md), by the package c2pa-python.

The manifest stands in a ``uuid`` box of the mp4 as the C2PA's specification 2 has it, and says that the video was
created by this program from trained algorithmic media. Nothing is fetched: no time stamp is asked for, and no remote
manifest or revocation list is read.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic_file import AtomicFile
from ..errors import UserError
from .input_files import check_file
from .provenance import DRAWN, NAME, VERSION, find_uuid_box

_BOX = uuid.UUID("d8fec3d6-1b0e-483c-9297-5828877ec481").bytes
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
_MP4 = "video/mp4"
#: Bytes that a manifest adds at most: certificates and a few assertions.
_ROOM = 1 << 20


@dataclass(frozen=True)
class Signing:
    """Who signs: PEM files with the certificate, followed by those that issued it, and with its private key."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Sign a video of one frame. Raises UserError for whatever would make signing the real one fail."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frame.mp4"
            _write_one_frame(path)
            self.sign(path, DRAWN, path.name)

    def sign(self, path: Path, kind: str, title: str) -> None:
        """Put a signed manifest into a complete mp4, which is replaced when that is done. ``kind`` is the IPTC's
        digital source type. Raises UserError."""
        c2pa = _package()
        if shutil.disk_usage(path.parent).free < path.stat().st_size + _ROOM:
            raise UserError(f"There is no room to sign {title}, which takes its size once more; please make room.")
        signer = self._signer(c2pa)
        try:
            builder = c2pa.Builder(_manifest(kind, title), c2pa.Context.from_dict(_OFFLINE))
            with AtomicFile(path) as temporary, path.open("rb") as source, temporary.open("w+b") as target:
                builder.sign(signer, _MP4, source, target)
        except c2pa.C2paError as problem:
            raise UserError(
                f"The certificate {self.certificate} cannot sign a video ({_words(problem)}); please give one for"
                " Content Credentials, followed by those that issued it."
            ) from problem

    def _signer(self, c2pa: Any) -> Any:
        certificates, key, algorithm = self._read()
        try:
            return c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, certificates, key, None))
        except c2pa.C2paError as problem:
            raise UserError(f"{self.key} cannot be used to sign ({_words(problem)}); please check it.") from problem

    def _read(self) -> tuple[bytes, bytes, bytes]:
        """PEM of the certificates and of the key, and the name of the key's algorithm."""
        from cryptography import x509
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization as form

        check_file(self.certificate, "certificate")
        check_file(self.key, "key")
        try:
            certificates = self.certificate.read_bytes()
            first = x509.load_pem_x509_certificates(certificates)[0]
        except (ValueError, OSError) as problem:
            raise UserError(f"{self.certificate} holds no certificate in PEM form; please give one.") from problem
        try:
            key: Any = form.load_pem_private_key(self.key.read_bytes(), None)
        except TypeError:
            raise UserError(f"The key {self.key} is locked by a password; please give it without one.") from None
        except (ValueError, UnsupportedAlgorithm, OSError) as problem:
            raise UserError(f"{self.key} holds no private key in PEM form; please give one.") from problem
        public = (form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)
        if key.public_key().public_bytes(*public) != first.public_key().public_bytes(*public):
            raise UserError(
                f"The key {self.key} is not that of the first certificate in {self.certificate}; please give a pair."
            )
        pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        return certificates, pem, self._algorithm(key)

    def _algorithm(self, key: Any) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

        if isinstance(key, rsa.RSAPrivateKey):
            return b"ps256"
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return b"ed25519"
        curves = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
        name = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else type(key).__name__
        if name not in curves:
            raise UserError(
                f"The key {self.key} is of the kind {name}, which Content Credentials do not know; please give one of"
                f" RSA, Ed25519 or {', '.join(curves)}."
            )
        return curves[name]


def check_signing(signing: Signing | None, marked: bool) -> None:
    """Raise UserError where a video could not be signed when it is complete, before any slow work."""
    if signing is None:
        return
    if not marked:
        raise UserError("What is signed is the mark of a synthetic video; please leave out --no-mark, or do not sign.")
    signing.check()


def describe_credentials(path: Path) -> str:
    """Whether an mp4 holds Content Credentials, whether they fit the file, and who signed."""
    if not find_uuid_box(path, _BOX)[1]:
        return "none"
    try:
        c2pa = _package()
    except UserError:
        return "there, not verified: run `pip install c2pa-python`"
    try:
        with path.open("rb") as file, c2pa.Reader(_MP4, file, context=c2pa.Context.from_dict(_OFFLINE)) as reader:
            found = json.loads(reader.json())
    except (c2pa.C2paError, ValueError) as problem:
        return f"there, unreadable ({_words(problem)})"
    signature = found["manifests"][found["active_manifest"]].get("signature_info", {})
    who = ", ".join(str(signature[key]) for key in ("common_name", "issuer") if signature.get(key)) or "nobody named"
    if found.get("validation_state") in ("Valid", "Trusted"):
        return f"valid, signed by {who} (whether to trust that signer is not looked up)"
    wrong = [one["code"] for one in found.get("validation_status", []) if one["code"] != "signingCredential.untrusted"]
    return f"NOT VALID ({', '.join(wrong) or 'not well formed'}), signed by {who}"


def _package() -> Any:
    try:
        import c2pa
    except (ImportError, OSError) as problem:
        raise UserError(
            "Signing needs the package c2pa-python, which is not installed; run `pip install c2pa-python`, or install"
            " Playmate with its extra c2pa."
        ) from problem
    return c2pa


def _manifest(kind: str, title: str) -> dict[str, Any]:
    program = {"name": NAME, "version": VERSION}
    created = {"action": "c2pa.created", "digitalSourceType": kind, "softwareAgent": program}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [created]}}
    return {"claim_generator_info": [program], "title": title, "assertions": [actions]}


def _write_one_frame(path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for packet in stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))):
            container.mux(packet)
        container.mux(stream.encode(None))


def _words(problem: Exception) -> str:
    return str(problem).strip().rstrip(".") or type(problem).__name__
