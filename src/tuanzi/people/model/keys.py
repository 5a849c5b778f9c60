"""Phones, openids, codes and tokens as hashes, seals and marks, made with the platform's secret."""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from msgspec import Struct

from tuanzi.base.network import network_of
from tuanzi.people.problems import PhoneInvalid

# Our choice, as is usual for codes by text message (J3).
CODE_DIGITS = 6
# A token is twice as long: chance, then its mark.
_HALF = 32
_MAINLAND = re.compile(r"(?:\+?86|0086)?(1[3-9][0-9]{9})")
_BETWEEN_DIGITS = str.maketrans("", "", " \t-()")


def mainland_phone(text: str) -> str:
    """The 11 digits of a mainland mobile number, from what people type: +86, 0086, spaces, dashes, wide digits.

    Raises PhoneInvalid.
    """
    plain = unicodedata.normalize("NFKC", text).translate(_BETWEEN_DIGITS)
    match = _MAINLAND.fullmatch(plain)
    if match is None:
        raise PhoneInvalid()
    return match.group(1)


def mask_phone(phone: str) -> str:
    """What may be shown of a phone: 138****1234."""
    return f"{phone[:3]}****{phone[7:]}"


def hash_token(token: str) -> str:
    """How a session's token is kept; SHA-256 without a key is enough for 128 bits of chance and more."""
    return hashlib.sha256(token.encode()).hexdigest()


def former_mark(phone_hash: str) -> str:
    """What is kept of a phone whose owner was erased; who has no secret of the platform cannot make it of a phone."""
    return hashlib.sha256(f"former {phone_hash}".encode()).hexdigest()


class SealedPhone(Struct, frozen=True, kw_only=True, gc=False):
    """A phone as commands and rows hold it.

    hash: HMAC-SHA256, to find its owner. masked: for the eye. sealed: AES-SIV, to send to it and to export it.
    mark: another HMAC, to count codes by; it cannot be matched with `hash`, so that erasing may leave the count.
    """

    hash: str
    masked: str
    sealed: str
    mark: str


class SealedOpenid(Struct, frozen=True, kw_only=True, gc=False):
    """Who somebody is to an app of WeChat's, as commands and rows hold it.

    hash: HMAC-SHA256 of app and openid, to find him. sealed: AES-SIV, to let him pay by it and to export it.
    """

    hash: str
    appid: str
    sealed: str


class Keys:
    """All that people does with the platform's secret; each use has a key of its own, derived by HMAC-SHA512.

    Sealing is AES-256-SIV (RFC 5297): it needs no chance, so a command decided twice gives the same row twice; that
    equal phones give equal seals says no more than their hashes do.
    The secret cannot be changed while people are kept: their phones would not be found again.
    """

    def __init__(self, secret: bytes) -> None:
        """secret: at least 32 bytes, the same on every node."""
        if len(secret) < 32:
            raise ValueError("the secret of people must have at least 32 bytes")
        self._hash_key = _subkey(secret, "phone hash")
        self._mark_key = _subkey(secret, "rate limit")
        self._code_key = _subkey(secret, "code")
        self._proof_key = _subkey(secret, "code proof")
        self._signing_key = _subkey(secret, "signature")
        self._token_key = _subkey(secret, "token")
        self._device_key = _subkey(secret, "device")
        self._siv = AESSIV(_subkey(secret, "phone seal"))

    def seal(self, phone: str) -> SealedPhone:
        """A phone as people typed it, sealed. Raises PhoneInvalid."""
        digits = mainland_phone(phone)
        sealed = self._siv.encrypt(digits.encode(), [b"phone"])
        return SealedPhone(
            hash=_digest(self._hash_key, digits),
            masked=mask_phone(digits),
            sealed=urlsafe_b64encode(sealed).decode(),
            mark=_digest(self._mark_key, f"phone {digits}"),
        )

    def unseal(self, sealed: str) -> str:
        """The 11 digits again. Raises cryptography's InvalidTag when it was sealed with another secret."""
        return self._siv.decrypt(urlsafe_b64decode(sealed), [b"phone"]).decode()

    def opens_any(self, sealed: Sequence[str]) -> bool:
        """Whether one of these phones was sealed with this secret."""
        for each in sealed:
            with suppress(InvalidTag):
                self.unseal(each)
                return True
        return False

    def seal_openid(self, openid: str, *, appid: str) -> SealedOpenid:
        """Who WeChat says somebody is, sealed."""
        sealed = self._siv.encrypt(openid.encode(), [b"openid", appid.encode()])
        return SealedOpenid(
            hash=_digest(self._hash_key, f"openid {appid} {openid}"),
            appid=appid,
            sealed=urlsafe_b64encode(sealed).decode(),
        )

    def unseal_openid(self, sealed: str, *, appid: str) -> str:
        """The openid again. Raises cryptography's InvalidTag when it is another app's, or another secret's."""
        return self._siv.decrypt(urlsafe_b64decode(sealed), [b"openid", appid.encode()]).decode()

    def hash_wechat_code(self, code: str) -> str:
        """How it is told that a sign-in code of WeChat's was used by the same person before."""
        return _digest(self._proof_key, f"wechat {code}")

    def mark_wechat(self, asker: str) -> str:
        """What sign-ins with WeChat are counted by: a client address as for codes, or who is signed in."""
        return _digest(self._mark_key, f"wechat {network_of(asker)}")

    def mark_address(self, address: str) -> str:
        """What codes asked from a client address are counted by; IPv6 by its /64, for that is what one client has."""
        return _digest(self._mark_key, f"address {network_of(address)}")

    def device_of(self, phone_hash: str) -> str:
        """What a device keeps on which this phone was signed in, to show that it was: 64 hexadecimal digits (0039)."""
        return _digest(self._device_key, phone_hash)

    def mark_device(self, device: str | None, *, phone_hash: str) -> str:
        """What codes are counted by that a device asks for which shows that; "" for any other."""
        if device is None or not hmac.compare_digest(device.encode(), self.device_of(phone_hash).encode()):
            return ""
        return _digest(self._mark_key, f"device {phone_hash}")

    def token_of(self, chance: str) -> str:
        """A session's token: 128 bits of chance and a mark of as many, all in hexadecimal (decision 0036).

        chance: 32 hexadecimal digits at least; those after the first 32 are not used.
        """
        return chance[:_HALF] + _digest(self._token_key, chance[:_HALF])[:_HALF]

    def made(self, token: str) -> bool:
        """Whether this house made an ASCII text for a token, whatever became of its session. One that it did not make
        may still open a session of before there were marks."""
        return hmac.compare_digest(self.token_of(token), token)

    def sign(self, text: str) -> str:
        """What proves that this house said a text, such as a token's claim."""
        return _digest(self._signing_key, text)

    def signed(self, text: str, signature: str) -> bool:
        """Whether this house said the text; takes as long whatever differs."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode())

    def code_of(self, challenge_id: str, *, phone_hash: str) -> str:
        """The 6 digits of a challenge; a function of the secret, so that they need not be kept to be sent."""
        number = int(_digest(self._code_key, f"{phone_hash} {challenge_id}")[:16], 16)
        return str(number % 10**CODE_DIGITS).zfill(CODE_DIGITS)

    def hash_code(self, code: str, *, phone_hash: str) -> str:
        """How a code is kept and compared; keyed, for a million codes are soon tried."""
        return _digest(self._proof_key, f"{phone_hash} {code}")


def _subkey(secret: bytes, purpose: str) -> bytes:
    return hmac.digest(secret, f"tuanzi people {purpose}".encode(), "sha512")


def _digest(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()
