"""What people refuses. No fact ever names a phone, a code or a token (J3)."""

from __future__ import annotations

from tuanzi.base.problem import Problem


class PhoneInvalid(Problem):
    """This is not a mainland mobile number."""

    code = "people/phone-invalid"
    status = 422
    title_zh = "请输入正确的中国大陆手机号"


class CampusUnknown(Problem):
    """There is no such campus."""

    code = "people/campus-unknown"
    status = 422
    title_zh = "没有这个校区"


class ShopUnknown(Problem):
    """This campus has no such shop."""

    code = "people/shop-unknown"
    status = 422
    title_zh = "该校区没有这个商家"


class TooManyCodes(Problem):
    """Too many codes were asked for; wait `retry_after_s` seconds."""

    code = "people/too-many-codes"
    status = 429
    title_zh = "验证码请求过于频繁，请稍后再试"


class CodeWrong(Problem):
    """The code is wrong; `tries_left` more tries."""

    code = "people/code-wrong"
    status = 422
    title_zh = "验证码不正确"


class CodeLocked(Problem):
    """Too many wrong tries; ask for a new code."""

    code = "people/code-locked"
    status = 422
    title_zh = "错误次数过多，请重新获取验证码"


class CodeExpired(Problem):
    """There is no valid code for this phone: too late, already used, or never asked for. Ask for a new one."""

    code = "people/code-expired"
    status = 422
    title_zh = "验证码已失效，请重新获取"


class NameInvalid(Problem):
    """A name has at most 20 printable characters."""

    code = "people/name-invalid"
    status = 422
    title_zh = "昵称最多 20 个字符，且不能包含特殊控制字符"


class MerchantMismatch(Problem):
    """A merchant needs his shop's id, and nobody else has one."""

    code = "people/merchant-mismatch"
    status = 422
    title_zh = "商家角色必须且只能与店铺编号一起设置"


class CampusMissing(Problem):
    """Who is no longer an operator of the platform must belong to a campus."""

    code = "people/campus-missing"
    status = 422
    title_zh = "不再担任平台运营的人员必须归属一个校区"


class LastOperator(Problem):
    """The last operator of the platform can neither be removed nor leave."""

    code = "people/last-operator"
    status = 409
    title_zh = "不能移除平台的最后一位运营人员"


class TooManyOperators(Problem):
    """The platform already has as many operators as it may have."""

    code = "people/too-many-operators"
    status = 409
    title_zh = "平台运营人员数量已达上限"


class WechatAbsent(Problem):
    """Signing in with WeChat is not set up here; sign in with phone and code."""

    code = "people/wechat-absent"
    status = 404
    title_zh = "此处未开通微信登录，请使用手机号和验证码登录"


class WechatCodeRefused(Problem):
    """WeChat does not take this sign-in code: it is too old, was used before, or is none. Get a new one."""

    code = "people/wechat-code-refused"
    status = 422
    title_zh = "微信登录凭证已失效或已使用，请重新发起微信登录"


class WechatUserRefused(Problem):
    """WeChat does not let this account sign in for now; sign in with phone and code."""

    code = "people/wechat-user-refused"
    status = 403
    title_zh = "微信暂不允许该账号登录，请使用手机号和验证码登录"


class WechatTooOften(Problem):
    """Too many sign-ins with WeChat; wait `retry_after_s` seconds."""

    code = "people/wechat-too-often"
    status = 429
    title_zh = "微信登录过于频繁，请稍后再试"


class WechatUnreachable(Problem):
    """WeChat gives no answer; get a new sign-in code in a moment, or sign in with phone and code."""

    code = "people/wechat-unreachable"
    status = 503
    title_zh = "微信暂无响应，请稍后重新登录，或使用手机号和验证码登录"


class WechatUnknown(Problem):
    """Nobody here has this WeChat account yet; sign in with phone and code once, then bind it."""

    code = "people/wechat-unknown"
    status = 404
    title_zh = "该微信尚未绑定，请先用手机号和验证码登录一次"


class WechatTaken(Problem):
    """This WeChat account belongs to somebody else here, who must let go of it first."""

    code = "people/wechat-taken"
    status = 409
    title_zh = "该微信已绑定其他账号，请先在原账号解绑"


class WechatNeeded(Problem):
    """WeChat takes a payment only from an account it knows; sign in with WeChat once, then pay."""

    code = "people/wechat-needed"
    status = 409
    title_zh = "微信支付需要先用微信登录一次，请在小程序中登录后再支付"
