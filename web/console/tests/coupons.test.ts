import { grantOf, MEMBERS_MAX, newGrant } from '@/operator/coupons'
import { describe, expect, it } from 'vitest'

const NOON = Date.parse('2026-11-23T12:00:00+08:00')
const draft = { ...newGrant(NOON), memberIds: ['p_1', 'p_2'] }

describe('a grant of coupons', () => {
  it('begins as three yuan off for a week, named for its minute', () => {
    expect(newGrant(NOON)).toMatchObject({ grantId: 'c-202611231200', off: '3.00', expires: '2026-11-30T12:00' })
  })

  it('is what the server takes, in fen and with its zone', () => {
    expect(grantOf({ ...draft, off: '2.5', threshold: '15', merchantId: 'bj-m01' })).toEqual({
      grant: {
        grant_id: 'c-202611231200',
        member_ids: ['p_1', 'p_2'],
        off_fen: 250,
        threshold_fen: 1500,
        expires_at: '2026-11-30T12:00:00+08:00',
        merchant_id: 'bj-m01',
      },
      unread: [],
    })
    expect(grantOf(draft).grant?.merchant_id).toBeNull()
  })

  it('is none with nothing off, nobody, too many, or a name that is none', () => {
    const many = Array.from({ length: MEMBERS_MAX + 1 }, (_, i) => `p_${i}`)
    expect(grantOf({ ...draft, off: '0' }).unread).toEqual(['off'])
    expect(grantOf({ ...draft, off: '1000.01' }).unread).toEqual(['off'])
    expect(grantOf({ ...draft, threshold: '' }).unread).toEqual(['threshold'])
    expect(grantOf({ ...draft, memberIds: [] }).unread).toEqual(['memberIds'])
    expect(grantOf({ ...draft, memberIds: many }).unread).toEqual(['memberIds'])
    expect(grantOf({ ...draft, grantId: 'A gift', expires: '' }).unread).toEqual(['grantId', 'expires'])
  })
})
