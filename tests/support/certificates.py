"""Certificates of clients, issued by an authority of the tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


class Authority:
    """Signs certificates; its own is `ca.pem` in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("authority")
        self.certificate = folder / "ca.pem"
        self._own = self._signed(self._name, self._key.public_key(), is_authority=True)
        self.certificate.write_bytes(self._own.public_bytes(Encoding.PEM))

    def store(self, password: str) -> Path:
        """A truststore of Java with its certificate."""
        path = self._folder / "trusted.p12"
        trusted = [PKCS12Certificate(self._own, b"authority")]
        path.write_bytes(serialize_java_truststore(trusted, BestAvailableEncryption(password.encode())))
        return path

    def issue(self, name: str, password: str) -> dict[str, str]:
        """librdkafka's settings of a client whose certificate says `CN=NAME,OU=agents`. Its key is encrypted."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._folder / f"{name}.pem"
        signed = self._signed(_named(name, "agents"), key.public_key(), is_authority=False)
        certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        file = self._folder / f"{name}.key"
        encrypted = BestAvailableEncryption(password.encode())
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encrypted))
        return {
            "ssl.certificate.location": str(certificate),
            "ssl.key.location": str(file),
            "ssl.key.password": password,
        }

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, *, is_authority: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )


def _named(name: str, unit: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []
    # Names are written from the last part to the first: CN=planner,OU=agents.
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
