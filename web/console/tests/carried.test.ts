import { strangersIn } from '@/operator/carried'
import { blankSample } from '@/operator/samples'
import { describe, expect, it } from 'vitest'

const RULE = {
  id: 'r1',
  kind: 'full_reduction' as const,
  title_zh: '满减',
  title_en: 'Off',
  condition: 'items_fen >= 3000 and building_id in ["bj-dorm-01", \'sh-dorm-01\']',
  amount: '300',
  priority: 100,
  exclusive: null,
  starts_at: null,
  ends_at: null,
  merchant_id: 'bj-m01',
  set_meal_id: null,
  dish_ids: ['bj-m01-d01', 'sh-m01-d01'],
}
const SAMPLE = {
  ...blankSample(),
  name: 'one',
  expected_fen: 1500,
  priced_at: '2026-11-23T03:40:00Z',
  lines: [
    {
      dish_id: 'bj-m01-d01',
      merchant_id: 'bj-m01',
      unit_price_fen: 1800,
      quantity: 1,
      set_meal_id: null,
      addon: false,
    },
  ],
  building_id: 'bj-dorm-01',
}

describe('rules that are taken to another campus', () => {
  it('name what it does not have, each once', () => {
    const isKnown = (id: string) => id.startsWith('sh-')

    expect(strangersIn({ rules: [RULE], samples: [SAMPLE] }, isKnown)).toEqual(['bj-m01', 'bj-m01-d01', 'bj-dorm-01'])
  })

  it('name nothing strange where all is known, or nothing is named', () => {
    const plain = { ...RULE, merchant_id: null, dish_ids: [], condition: 'items_fen >= 3000' }

    expect(strangersIn({ rules: [RULE], samples: [SAMPLE] }, () => true)).toEqual([])
    expect(strangersIn({ rules: [plain], samples: [] }, () => false)).toEqual([])
  })
})
