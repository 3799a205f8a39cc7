# Owns: the certificates of TLS listeners, and their files. Must not: know load balancers.
# Invariant: a file is in the server's folder, readable by us alone, and written once per certificate.
"""Certificates of IAM and ACM as HAProxy reads them."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
from pathlib import Path

from . import ACCOUNT


def _known(arn: str) -> tuple[bytes, bytes] | None:
    from moto.acm.models import acm_backends
    from moto.iam.models import iam_backends

    for partition in iam_backends[ACCOUNT].values():
        for one in partition.certificates.values():
            if one.arn == arn and one.private_key:
                return f"{one.cert_body}\n{one.cert_chain or ''}".encode(), one.private_key.encode()
    for region in acm_backends[ACCOUNT].values():
        bundle = region._certificates.get(arn)
        if bundle is not None and bundle.key:
            return bundle.cert, bundle.key
    return None


def self_signed(name: str) -> tuple[bytes, bytes]:
    """For an ARN that nobody uploaded: a client that checks it will refuse it, and should."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30)).sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM), plain


def authority(name: str, names: list[str], addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> tuple[str, str]:
    """A CA of one's own, and certificate with key, signed by it, of a server with these names and addresses."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.timezone.utc)
    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def begun(who: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])).public_key(public)
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
        )  # fmt: skip

    issuer = begun(name, issuer_key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(issuer_key, hashes.SHA256())
    alternatives = x509.SubjectAlternativeName([*(x509.DNSName(one) for one in names), *(x509.IPAddress(one) for one in addresses)])
    leaf = begun(names[0], key.public_key()).add_extension(alternatives, critical=False).sign(issuer_key, hashes.SHA256())
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem_of = serialization.Encoding.PEM
    return issuer.public_bytes(pem_of).decode(), (leaf.public_bytes(pem_of) + plain).decode()


def pem(arn: str | None, folder: Path) -> str:
    """The name of the file with certificate and key, in `folder`."""
    path = folder / f"crt-{hashlib.sha256((arn or '').encode()).hexdigest()[:12]}.pem"
    if not path.exists():
        certificate, key = _known(arn or "") or self_signed("load balancer")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(certificate.strip() + b"\n" + key.strip() + b"\n")
    return path.name
