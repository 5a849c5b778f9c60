"""WeChat Pay v3 behind the payment port, on the public client `wechatpayv3` (C1, C4).

Sources: pay.weixin.qq.com/doc/v3/merchant (JSAPI, refunds, profit sharing, bills) and the client's own source, 2.0.4.

`port`: what is asked for, and what it means. `signed`: how it is asked, and what counts as an answer. `words`: WeChat's
words in the port's.
"""

from __future__ import annotations

from tuanzi.money.vendors.wechatpay.port import NOTIFY_PATH, WeChatPay
from tuanzi.money.vendors.wechatpay.signed import GATEWAY, Merchant

__all__ = ["GATEWAY", "NOTIFY_PATH", "Merchant", "WeChatPay"]
