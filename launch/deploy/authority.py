"""A certificate authority of one's own, and TLS certificates for the servers of a deployment."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedphd.common.errors import SettingError
from fedphd.common.keeping.private_files import write_private

DAYS = 825  # the longest life of a server certificate that TLS clients commonly accept
AUTHORITY_DAYS = 3650
SKEW = timedelta(days=1)  # valid from a day ago, for hosts whose clocks are behind
CERTIFICATE, KEY = "ca.pem", "ca.key"


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its certificate, and the key that signs for it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate as everybody needs it who checks a server."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def at(cls, folder: Path) -> "Authority":
        """Read the authority in `folder`; make one if there is none.

        Raises
        ------
        SettingError
            If one of its two files is missing or cannot be read.
        """
        files = folder / CERTIFICATE, folder / KEY
        if not any(file.exists() for file in files):
            _make(folder)
        try:
            certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
            key = serialization.load_pem_private_key(files[1].read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise SettingError("keys", folder, f"cannot be read ({error}); restore it, or make all keys anew") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingError("keys", files[1], "is not an elliptic-curve key; make all keys anew")
        if key.public_key() != certificate.public_key():
            raise SettingError("keys", files[1], f"does not fit {CERTIFICATE}; restore it, or make all keys anew")
        return cls(certificate, key)

    def issue(self, name: str, hosts: Iterable[str]) -> tuple[bytes, bytes]:
        """Issue a server certificate.

        Parameters
        ----------
        name : str
            Common name.
        hosts : Iterable[str]
            DNS names and IP addresses by which clients reach the server.

        Returns
        -------
        tuple[bytes, bytes]
            Certificate and private key, in PEM.
        """
        key = ec.generate_private_key(ec.SECP384R1())
        builder = (
            _builder(name, self.certificate.subject, key, DAYS)
            .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        certificate = builder.sign(self.key, hashes.SHA384())
        return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def _make(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    subject = _name("FedPhD authority")
    certificate = (
        _builder("FedPhD authority", subject, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    write_private(folder / KEY, _pem(key))
    write_private(folder / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM))


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=_name(name),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - SKEW,
        not_valid_after=now + timedelta(days=days),
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
