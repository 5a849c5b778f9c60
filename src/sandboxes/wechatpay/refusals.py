"""How WeChat Pay says no: a status, a code from its papers, and a message in Chinese."""

from __future__ import annotations


class Refusal(Exception):
    """An answer other than 2xx; nothing was changed, unless the code says that this is not known."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message


def wrong(message: str) -> Refusal:
    """A parameter cannot be meant."""
    return Refusal(400, "PARAM_ERROR", message)


def invalid(message: str) -> Refusal:
    """The parameters are right each for itself, but not together or not now."""
    return Refusal(400, "INVALID_REQUEST", message)


def unsigned(message: str) -> Refusal:
    """The request is not signed by the merchant."""
    return Refusal(401, "SIGN_ERROR", message)


def not_enough(message: str) -> Refusal:
    """There is less money than is asked for."""
    return Refusal(403, "NOT_ENOUGH", message)


def absent(message: str) -> Refusal:
    """There is no such thing."""
    return Refusal(404, "RESOURCE_NOT_EXISTS", message)


def too_often() -> Refusal:
    """More requests than are allowed."""
    return Refusal(429, "FREQUENCY_LIMITED", "频率超限，请降低请求频率后重试")


def broken() -> Refusal:
    """The server's own mistake; whether something was done is not known."""
    return Refusal(500, "SYSTEM_ERROR", "系统异常，请用相同参数重新调用")
