import { readFileSync, readdirSync } from 'node:fs'
import { Refusal, Unreachable } from '@/api/client'
import { isKey, speak, t } from '@/locale'
import * as boards from '@/locale/boards'
import * as operator from '@/locale/operator'
import * as shell from '@/locale/shell'
import { sayBeside, sayError } from '@/said'
import { yuan } from '@/shown'
import { beforeEach, describe, expect, it } from 'vitest'

const AREAS: Record<string, { zh: Record<string, string>; en: Record<string, string> }> = { boards, operator, shell }
const holes = (text = '') => [...text.matchAll(/\{\w+\}/g)].map(([hole]) => hole).sort()

beforeEach(() => speak('zh-CN'))

describe('texts', () => {
  it('have the same holes in both languages', () => {
    for (const { zh, en } of Object.values(AREAS))
      for (const key of Object.keys(zh)) expect([key, holes(en[key])]).toEqual([key, holes(zh[key])])
  })

  it('belong to one area each', () => {
    const keys = Object.values(AREAS).flatMap(({ zh }) => Object.keys(zh))

    expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([])
  })

  it('fill their holes, in the language in use', () => {
    expect(t('codeAgain', { n: 7 })).toBe('7 秒后可重发')
    speak('en')
    expect(t('codeAgain', { n: 7 })).toBe('Again in 7 s')
  })

  it('are all in the modules of texts', () => {
    const files = readdirSync('src', { recursive: true, encoding: 'utf-8' })
    const chinese = files
      .filter((file) => /\.(vue|ts)$/.test(file) && !file.includes('locale'))
      .filter((file) => /\p{Script=Han}/u.test(readFileSync(`src/${file}`, 'utf-8')))

    expect(chinese).toEqual([])
  })
})

describe('errors', () => {
  it('are said by their code, where the console has words for it', () => {
    expect(sayError(new Refusal('people/code-wrong', 422, { tries_left: 3 }))).toBe('验证码不对，还可以试 3 次。')
  })

  it('of price rules say which sample, and what is wrong with it', () => {
    const cost = {
      sample: '双人餐',
      version: 3,
      expected_fen: 2500,
      payable_fen: 2600,
      skipped_rules: [],
      why: 'price',
    }
    const skipped = { ...cost, skipped_rules: ['full', 'night'], why: 'skipped' }

    expect(sayError(new Refusal('pricing/rules-unchecked', 409, cost))).toBe(
      `v3 的样例“双人餐”应付 ${yuan(2500)}，按规则算出 ${yuan(2600)}。`,
    )
    expect(sayError(new Refusal('pricing/rules-unchecked', 409, skipped))).toBe(
      'v3 的样例“双人餐”中有规则算不出来：full, night。',
    )
  })

  it('beside their field need no name of it', () => {
    const bad = { title: '数值超出允许范围', detail: '人数：数值超出允许范围（2 至 100）。', field: 'tiers[0].size' }
    const told = { ...bad, errors: [{ pointer: '#/tiers/0/size', detail: '数值超出允许范围（2 至 100）' }] }

    expect(sayBeside(new Refusal('catalog/number-out-of-bounds', 422, told))).toBe('数值超出允许范围（2 至 100）')
    expect(sayBeside(new Refusal('catalog/number-out-of-bounds', 422, bad))).toBe(bad.detail)
    expect(sayBeside(new Unreachable())).toBe(t('unreachable'))
  })

  it('of a kind that is newer than this page are said as the server says them', () => {
    const bad = { title: '优惠规则有误', rule_id: 'full', why: 'newest' }

    expect(sayError(new Refusal('pricing/rule-invalid', 422, bad))).toBe('优惠规则有误')
  })

  it('without words here are said as the server says them', () => {
    expect(isKey('some/new-rule')).toBe(false)
    expect(sayError(new Refusal('some/new-rule', 409, { title: '新规则' }))).toBe('新规则')
  })

  it('of the network are no riddle', () => {
    expect(sayError(new Unreachable('/v1/clock'))).toBe(shell.zh.unreachable)
  })
})
