import { areSame, draftOf, termsOf } from '@/operator/terms'
import { describe, expect, it } from 'vitest'

const USUAL = { late_minutes: 5, given_up_minutes: 20, ready_minutes: 30 }
const draft = draftOf(USUAL)

describe('how long shops may take', () => {
  it('is what the server takes, and is read back as it was', () => {
    expect(termsOf(draft)).toEqual({ terms: USUAL, unread: [] })
    expect(termsOf({ ...draft, ready_minutes: ' 1440 ' }).terms).toEqual({ ...USUAL, ready_minutes: 1440 })
  })

  it('is in whole minutes of a day', () => {
    for (const wrong of ['', '0', '1441', '2.5', '-3', 'soon', '1e1'])
      expect([wrong, termsOf({ ...draft, ready_minutes: wrong }).unread]).toEqual([wrong, ['ready_minutes']])
    expect(termsOf({ late_minutes: 'x', given_up_minutes: '', ready_minutes: '0' }).unread).toHaveLength(3)
  })

  it('leaves a shop that is late some time before it is given up', () => {
    expect(termsOf({ ...draft, given_up_minutes: '5' }).unread).toEqual(['given_up_minutes'])
    expect(termsOf({ ...draft, given_up_minutes: '6' }).unread).toEqual([])
  })

  it('is told apart when any of it differs', () => {
    expect(areSame(USUAL, { ...USUAL })).toBe(true)
    expect(areSame(USUAL, { ...USUAL, ready_minutes: 31 })).toBe(false)
  })
})
