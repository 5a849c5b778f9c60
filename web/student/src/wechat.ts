/** Signing in and paying with WeChat, in its mini program; a browser has no `wx.login`, and signs in by phone and code. */

import { keepAccount } from '@/account'
import { ask, Refusal, Unreachable } from '@/api/request'

/** Sign in by this phone's WeChat. False when nobody has bound it yet: then the phone number says who it is, once. */
export async function signInWithWechat(): Promise<boolean> {
  try {
    keepAccount(await withCode((code) => ask('post', '/v1/wechat/sessions', { body: { code } })))
    return true
  } catch (error) {
    if (isRefusal(error, 'people/wechat-unknown')) return false
    throw error
  }
}

/** Let whoever is signed in sign in and pay by this phone's WeChat from now on. */
export async function bindWechat(): Promise<void> {
  await withCode((code) => ask('put', '/v1/me/wechat', { body: { code } }))
}

/** Whether an error is this rule's no. */
export function isRefusal(error: unknown, code: string): boolean {
  return error instanceof Refusal && error.code === code
}

/** Do something with a fresh code, which is good once; with another one when an answer that was lost used it up. */
async function withCode<T>(use: (code: string) => Promise<T>): Promise<T> {
  try {
    return await use(await freshCode())
  } catch (error) {
    if (!isRefusal(error, 'people/wechat-code-refused')) throw error
    return use(await freshCode())
  }
}

function freshCode(): Promise<string> {
  return new Promise((resolve, reject) => {
    uni.login({
      provider: 'weixin',
      success: ({ code }) => resolve(code),
      fail: () => reject(new Unreachable('wx.login')),
    })
  })
}
