"""Certificates of an authority of our own, in time or not, and a server that shows one and says nothing else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "localhost"
DAY = timedelta(days=1)


class Authority:
    """Signs certificates for `localhost`. `file` is its own, which whoever trusts it is given."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of ours")])
        self.file = folder / "authority.pem"
        own = self._certificate(self._name, self._key, days_left=365).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, days_left: int) -> Path:
        """A certificate with its key that ends so many days from now, also a number of days ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        made = self._certificate(name, key, days_left).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False
        )
        file = self._folder / f"server-{days_left}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        return file

    def _certificate(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, days_left: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + days_left * DAY)
        )


@asynccontextmanager
async def showing(certificate: Path) -> AsyncIterator[int]:
    """A server on a port of its own that shows this certificate and hangs up."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, HOST, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
