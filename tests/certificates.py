"""A certificate chain for tests: a root, and a certificate that it issued for signing Content Credentials."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

SIGNER = "Test Signer"


@dataclass(frozen=True)
class Files:
    """PEM files: the chain with the signer's certificate first, its key, the same key behind a password, and a key
    that belongs to nobody."""

    chain: Path
    key: Path
    locked: Path
    other: Path


def write_certificates(folder: Path, key: Any = None, days: int = 30) -> Files:
    """Write all of them into ``folder``; ``key`` None makes one of P-256, ``days`` is how long it counts from now."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    root, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    key = key or ec.generate_private_key(ec.SECP256R1())
    issued = [
        _certificate(SIGNER, key, "Test Root", root, days),
        _certificate("Test Root", root, "Test Root", root, days),
    ]
    files = Files(*(folder / name for name in ("chain.pem", "key.pem", "locked.pem", "other.pem")))
    files.chain.write_bytes(b"".join(one.public_bytes(form.Encoding.PEM) for one in issued))
    for path, private, lock in (
        (files.key, key, form.NoEncryption()),
        (files.locked, key, form.BestAvailableEncryption(b"secret")),
        (files.other, other, form.NoEncryption()),
    ):
        path.write_bytes(private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, lock))
    return files


def _certificate(name: str, key: Any, issuer: str, issuer_key: Any, days: int) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.now(timezone.utc)
    is_root = name == issuer
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only")
    usage = x509.KeyUsage(
        **dict.fromkeys((*others, "decipher_only"), False),
        digital_signature=not is_root,
        key_cert_sign=is_root,
        crl_sign=is_root,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(is_root, None), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    if not is_root:
        made = made.add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return made.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> Any:
    from cryptography import x509

    oid = x509.oid.NameOID
    return x509.Name([x509.NameAttribute(oid.COMMON_NAME, common), x509.NameAttribute(oid.ORGANIZATION_NAME, "Tests")])
