"""What HTTP refuses before a room is asked, whatever the business (J2, J5)."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class RequestUnreadable(Problem):
    """What came is no HTTP request, or it cannot be told where it ends."""

    code = "http/request-unreadable"
    status = 400
    title_zh = "无法识别的 HTTP 请求"


class AddressTooLong(Problem):
    """The address is longer than this server reads."""

    code = "http/address-too-long"
    status = 414
    title_zh = "请求地址过长"


class HeadTooLarge(Problem):
    """There are more headers than this server reads, or longer ones."""

    code = "http/head-too-large"
    status = 431
    title_zh = "请求头过多或过长"


class VersionUnknown(Problem):
    """Only versions 1.0 and 1.1 of HTTP are spoken here."""

    code = "http/version-unknown"
    status = 505
    title_zh = "仅支持 HTTP/1.0 与 HTTP/1.1"


class UpgradeNeeded(Problem):
    """Only WebSockets are taken at this address."""

    code = "http/upgrade-needed"
    status = 426
    title_zh = "该地址只接受 WebSocket 连接"


class NotFound(Problem):
    """There is nothing at this address."""

    code = "http/not-found"
    status = 404
    title_zh = "没有这个地址"


class MethodNotAllowed(Problem):
    """This address does not know this method; the Allow header names those it knows."""

    code = "http/method-not-allowed"
    status = 405
    title_zh = "该地址不支持此方法"


class HeaderMalformed(Problem):
    """A header is given twice or cannot be read."""

    code = "http/header-malformed"
    status = 400
    title_zh = "请求头重复或无法读取"


class NotSignedIn(Problem):
    """Sign in first: a valid session is needed here.

    Send `Authorization: Bearer <token>` with the token that signing in gave; it may have expired.
    """

    code = "http/not-signed-in"
    status = 401
    title_zh = "请先登录"


class KeyMissing(Problem):
    """A write needs an Idempotency-Key of 8 to 64 visible ASCII characters.

    Make a new one for each thing you want done and send it again with every retry of it.
    """

    code = "http/key-missing"
    status = 400
    title_zh = "写操作需要 8 至 64 位可见 ASCII 字符的 Idempotency-Key"


class UnsupportedMedia(Problem):
    """The body must be JSON: Content-Type application/json in UTF-8."""

    code = "http/unsupported-media"
    status = 415
    title_zh = "请求体必须是 UTF-8 编码的 application/json"


class BodyTooLarge(Problem):
    """The body is longer than allowed here."""

    code = "http/body-too-large"
    status = 413
    title_zh = "请求体过大"


class BodyMalformed(Problem):
    """The body is no JSON, is missing, or is there where none is expected."""

    code = "http/body-malformed"
    status = 400
    title_zh = "请求体不是有效的 JSON"


class TooManyRequests(Problem):
    """You ask more often than anybody needs to; go on after the seconds that Retry-After says. Nothing was changed."""

    code = "http/too-many-requests"
    status = 429
    title_zh = "请求过于频繁，请稍后再试"


class RequestTimeout(Problem):
    """The body did not arrive in time; nothing was changed."""

    code = "http/request-timeout"
    status = 408
    title_zh = "请求体接收超时，未做任何更改"


class AnswerLate(Problem):
    """The answer was not ready in time; what came of the request is not known yet.

    Send the same request again with the same Idempotency-Key: it takes effect once, and you get its answer.
    """

    code = "http/answer-late"
    status = 503
    title_zh = "应答超时，请用相同的 Idempotency-Key 重试"


class AnswerFailed(Problem):
    """Something broke on our side while answering; what came of the request is not known.

    Send the same request again with the same Idempotency-Key: it takes effect once, and you get its answer.
    """

    code = "http/answer-failed"
    status = 500
    title_zh = "系统内部错误，请用相同的 Idempotency-Key 重试"
