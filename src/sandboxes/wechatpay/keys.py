"""The merchant's credentials and the platform's keys: made once into the data folder, kept from then on."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

RSA_BITS = 2048
CERTIFICATE_YEARS = 5
SCHEME = "WECHATPAY2-SHA256-RSA2048"
PROBE = "WECHATPAY/SIGNTEST/"
CREDENTIALS = "merchant.json"
APP_SECRET = "app_secret"


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes into the Wechatpay-* headers."""

    timestamp: str
    nonce: str
    signature: str
    serial: str

    def headers(self) -> dict[str, str]:
        """The five headers of an answer or a callback."""
        return {
            "Wechatpay-Timestamp": self.timestamp,
            "Wechatpay-Nonce": self.nonce,
            "Wechatpay-Signature": self.signature,
            "Wechatpay-Serial": self.serial,
            "Wechatpay-Signature-Type": SCHEME,
        }


class Keys:
    """Signs as the platform, checks the merchant's signatures, seals what is sent to him.

    The folder has `merchant.json` (mchid, appid, serial numbers, the API v3 key, and the names of the key files)
    for whoever embeds this sandbox, and `app_secret`, by which the mini program asks who signs in; files with secrets
    can be read by their owner only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / CREDENTIALS
        if not path.exists():
            _make(folder)
        told = json.loads(path.read_text(encoding="utf-8"))
        self.mchid: str = told["mchid"]
        self.appid: str = told["appid"]
        self.merchant_serial: str = told["merchant_serial"]
        self.platform_serial: str = told["platform_serial"]
        self.public_key_id: str = told["public_key_id"]
        self._api_key = (folder / told["api_key_file"]).read_text(encoding="utf-8").strip().encode()
        self._merchant = _certificate(folder / told["merchant_certificate_file"]).public_key()
        self._signers = {
            self.platform_serial: _private(folder / "platform_key.pem"),
            self.public_key_id: _private(folder / "wechatpay_key.pem"),
        }
        app_secret = folder / APP_SECRET
        if not app_secret.exists():
            _write(app_secret, secrets.token_hex(16))
        self.app_secret = app_secret.read_text(encoding="utf-8").strip()
        self.platform_certificate = (folder / "platform_certificate.pem").read_text(encoding="utf-8")

    def sign(self, body: str, *, serial: str, at: datetime, forged: bool = False, probe: bool = False) -> Signature:
        """Sign an answer or a callback with the platform's key of this serial number.

        forged: a signature of nobody. probe: one that is wrong on purpose, as WeChat sends to test the merchant.
        """
        timestamp, nonce = str(int(at.timestamp())), secrets.token_hex(16).upper()
        text = f"{timestamp}\n{nonce}\n{body}\n".encode()
        if forged or probe:
            made = secrets.token_bytes(RSA_BITS // 8)
        else:
            made = self._signers[serial].sign(text, padding.PKCS1v15(), hashes.SHA256())
        signature = base64.b64encode(made).decode()
        return Signature(timestamp, nonce, PROBE + signature if probe else signature, serial)

    def is_merchants(self, text: str, signature: str) -> bool:
        """Whether the merchant signed this text."""
        if not isinstance(self._merchant, rsa.RSAPublicKey):
            return False
        try:
            self._merchant.verify(
                base64.b64decode(signature, validate=True), text.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (InvalidSignature, ValueError):
            return False
        return True

    def seal(self, text: str, *, associated: str) -> dict[str, str]:
        """Encrypt for the merchant: the parts of a `resource` or an `encrypt_certificate`."""
        nonce = secrets.token_hex(6)
        sealed = AESGCM(self._api_key).encrypt(nonce.encode(), text.encode(), associated.encode())
        return {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": base64.b64encode(sealed).decode(),
            "nonce": nonce,
            "associated_data": associated,
        }

    def open_name(self, sealed: str, *, serial: str) -> str | None:
        """What the merchant encrypted to the platform's key of this serial number; None when he did not."""
        signer = self._signers.get(serial)
        if signer is None:
            return None
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
        try:
            return signer.decrypt(base64.b64decode(sealed, validate=True), oaep).decode()
        except ValueError:
            return None

    def certificates(self, *, now: datetime) -> dict[str, object]:
        """The body of GET /v3/certificates."""
        certificate = x509.load_pem_x509_certificate(self.platform_certificate.encode())
        told = {
            "serial_no": self.platform_serial,
            "effective_time": certificate.not_valid_before_utc.isoformat(),
            "expire_time": certificate.not_valid_after_utc.isoformat(),
            "encrypt_certificate": self.seal(self.platform_certificate, associated="certificate"),
        }
        return {"data": [told]}

    def knows(self, serial: str) -> bool:
        """Whether this is a serial number of the platform's own."""
        return serial in self._signers


def _make(folder: Path) -> None:
    """Make every key; `merchant.json` comes last, so that a half made folder is made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    merchant, platform, wechatpay = (rsa.generate_private_key(65537, RSA_BITS) for _ in range(3))
    mchid = f"19{secrets.randbelow(10**8):08d}"
    merchant_certificate = _signed(merchant, mchid)
    platform_certificate = _signed(platform, "Tenpay.com sandbox")
    _write(folder / "merchant_key.pem", _pem(merchant))
    _write(folder / "merchant_certificate.pem", _pem_of(merchant_certificate))
    _write(folder / "platform_key.pem", _pem(platform))
    _write(folder / "platform_certificate.pem", _pem_of(platform_certificate))
    _write(folder / "wechatpay_key.pem", _pem(wechatpay))
    public = wechatpay.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write(folder / "wechatpay_public_key.pem", public.decode())
    _write(folder / "api_v3_key", secrets.token_hex(16))
    told = {
        "mchid": mchid,
        "appid": f"wx{secrets.token_hex(8)}",
        "merchant_serial": f"{merchant_certificate.serial_number:X}",
        "platform_serial": f"{platform_certificate.serial_number:X}",
        "public_key_id": f"PUB_KEY_ID_01{mchid}{secrets.randbelow(10**16):016d}",
        "api_key_file": "api_v3_key",
        "merchant_key_file": "merchant_key.pem",
        "merchant_certificate_file": "merchant_certificate.pem",
        "public_key_file": "wechatpay_public_key.pem",
    }
    _write(folder / CREDENTIALS, json.dumps(told, indent=1))


def _signed(key: rsa.RSAPrivateKey, name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(int("4" + secrets.token_hex(19), 16))  # 40 digits, none of them a leading zero
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * CERTIFICATE_YEARS))
        .sign(key, hashes.SHA256())
    )


def _pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _private(path: Path) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} has no RSA key")
    return key


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())
