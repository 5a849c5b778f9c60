import { campaignOf, draftOf, fieldOf, onShanghaisClock } from '@/operator/campaign'
import type { Campaign } from '@/operator/campus'
import { describe, expect, it } from 'vitest'

const TRIO: Campaign = {
  id: 'trio',
  name_zh: '三人团',
  name_en: 'Trio',
  tiers: [
    { size: 3, off_percent: 10, off_fen: 0 },
    { size: 5, off_percent: 12, off_fen: 150 },
  ],
  merchant_ids: ['m1'],
  building_ids: [],
  period_ids: ['lunch'],
  starts_at: '2026-11-23T02:00:00Z',
  ends_at: '2026-12-23T16:30:00Z',
  group_lasts_minutes: 45,
  pay_within_s: 300,
  per_order_limit: 6,
  per_user_limit: 2,
  delivery_fee_fen: 901,
  state: 'live',
  guest_campuses: ['shanghai'],
}

describe('a campaign as it is typed', () => {
  it('is sent as it was when nothing was typed', () => {
    const { campaign, unread } = campaignOf(draftOf(TRIO, 0))

    expect(unread).toEqual([])
    expect(campaign).toEqual({
      ...TRIO,
      starts_at: '2026-11-23T10:00:00+08:00',
      ends_at: '2026-12-24T00:30:00+08:00',
    })
  })

  it('has amounts in yuan and times on Shanghai’s clock', () => {
    const draft = draftOf(TRIO, 0)

    expect([draft.fee, draft.tiers[1]?.off, draft.starts, draft.ends]).toEqual([
      '9.01',
      '1.50',
      '2026-11-23T10:00',
      '2026-12-24T00:30',
    ])
    expect(onShanghaisClock(Date.parse('2026-12-31T16:00:00Z'))).toBe('2027-01-01T00:00')
  })

  it('shares nothing with the campaign that it changes', () => {
    const draft = draftOf(TRIO, 0)
    draft.merchant_ids.push('m2')
    draft.tiers.splice(0, 1)

    expect([TRIO.merchant_ids, TRIO.tiers.length]).toEqual([['m1'], 2])
  })

  it('says which fields nobody can read, and is not sent', () => {
    const draft = { ...draftOf(TRIO, 0), fee: '9,5', ends: '' }
    draft.tiers[1] = { size: 5, percent: 12, off: 'much' }

    expect(campaignOf(draft)).toEqual({ unread: ['tiers.1.off_fen', 'ends_at', 'delivery_fee_fen'] })
  })

  it('is a draft for lunch that runs for a week when it is new', () => {
    const draft = draftOf(undefined, Date.parse('2026-11-23T02:00:00Z'))

    expect([draft.state, draft.period_ids, draft.starts, draft.ends]).toEqual([
      'draft',
      ['lunch'],
      '2026-11-23T10:00',
      '2026-11-30T10:00',
    ])
  })
})

describe('the field of a refusal', () => {
  it('is found in what the catalog and the reader of bodies say', () => {
    expect([
      fieldOf({ facts: { field: 'tiers[1].off_fen' } }),
      fieldOf({ facts: { field: 'ends_at' } }),
      fieldOf({ facts: { at: '/tiers/0/size' } }),
      fieldOf({ facts: { at: '?after' } }),
      fieldOf({ facts: {} }),
    ]).toEqual(['tiers.1.off_fen', 'ends_at', 'tiers.0.size', '', ''])
  })
})
