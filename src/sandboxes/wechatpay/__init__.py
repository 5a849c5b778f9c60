"""WeChat Pay v3 on this machine: real signatures, durable books, callbacks, bills, and faults on demand (C1).

Follows the public papers of WeChat Pay (pay.weixin.qq.com/doc/v3) for one direct merchant: JSAPI and mini-program
orders, refunds, profit sharing and bills. Where they are silent, what is done here says "our choice".
Run it with `python -m sandboxes.wechatpay --data FOLDER`; the folder then has the merchant's credentials.
"""
