import { Refusal, Unreachable } from '@/api/request'
import { shelfOf, stepOf, STEPS } from '@/life'
import { speak, t } from '@/locale'
import { en } from '@/locale/en'
import { zh } from '@/locale/zh-CN'
import { sayError, sayTag, sayTier } from '@/said'
import { beforeEach, describe, expect, it } from 'vitest'

const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([hole]) => hole).sort()

beforeEach(() => speak('zh-CN'))

describe('texts', () => {
  it('have the same holes in both languages', () => {
    for (const key of Object.keys(zh) as (keyof typeof zh)[])
      expect([key, holes(en[key])]).toEqual([key, holes(zh[key])])
  })

  it('fill their holes, in the language in use', () => {
    expect(t('missing', { n: 2 })).toBe('还差 2 人成团')
    speak('en')
    expect(t('missing', { n: 2 })).toBe('2 more to form')
  })

  it('count one as one, and more as more', () => {
    speak('en')
    expect([1, 2].map((n) => t('formedSeats', { n }))).toEqual(['Formed, 1 seat left', 'Formed, 2 seats left'])
    expect([1, 2].map((n) => t('joinNow', { n }))).toEqual(['Join (1 seat left)', 'Join (2 seats left)'])
    speak('zh-CN')
    expect(t('formedSeats', { n: 1 })).toBe('已成团，还有 1 个名额')
  })

  it('say tiers as people do', () => {
    expect(sayTier({ size: 5, off_percent: 15, off_fen: 100 })).toBe('5 人 8.5 折 −¥1')
    speak('en')
    expect(sayTier({ size: 3, off_percent: 10 })).toBe('3 people 10% off')
  })
})

describe('tags of dishes', () => {
  it('are said in the reader’s language, and as they are where there is no word', () => {
    expect(['素食', '店长推荐'].map(sayTag)).toEqual(['素食', '店长推荐'])
    speak('en')
    expect(['素食', '店长推荐'].map(sayTag)).toEqual(['vegetarian', '店长推荐'])
  })
})

describe('errors', () => {
  it('are said kindly by their code, with amounts as amounts', () => {
    const error = new Refusal('groups/minimum-not-reached', 422, { minimum_fen: 1000, worth_fen: 600 })

    expect(sayError(error)).toBe('这家店每单满 ¥10 起做，再加一点吧。')
  })

  it('without words here are said as the server says them', () => {
    expect(sayError(new Refusal('some/new-rule', 409, { title: '新规则' }))).toBe('新规则')
  })

  it('of the network are no riddle', () => {
    expect(sayError(new Unreachable('/v1/clock'))).toBe(zh.unreachable)
  })
})

describe('the life of an order', () => {
  it('has a text for each step and a shelf for each state', () => {
    expect(STEPS.map(stepOf)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
    expect([stepOf('cancelled'), stepOf('refunding')]).toEqual([-1, -1])
    expect([shelfOf('paid'), shelfOf('cooking'), shelfOf('completed'), shelfOf('refunded')]).toEqual([
      'filling',
      'coming',
      'done',
      'back',
    ])
  })
})
