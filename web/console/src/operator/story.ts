/** What an event tells besides its name: amounts, people and things, in the order in which they matter. */

import { t } from '@/locale'
import { nameOf } from '@/operator/campus'
import { shortId, word } from '@/operator/words'
import { dayAndTime, yuan } from '@/shown'

interface Part {
  /** A thing with a screen of its own, or told by its id. */
  id?: string
  text?: string
}

type Teller = (fact: unknown, name: string) => Part

const IDS: Teller = (fact) => ({ id: String(fact) })
const SHOWN: Record<string, Teller> = {
  order_id: IDS,
  sub_order_id: IDS,
  before: (fact, name) => ({ text: `${word(name, String(fact))} →` }),
  state: (fact, name) => ({ text: word(name, String(fact)) }),
  size: (fact) => ({ text: t('op.people_n', { n: String(fact) }) }),
  paid_count: (fact) => ({ text: t('op.paid_n', { n: String(fact) }) }),
  merchant_id: (fact) => ({ text: nameOf(String(fact)) }),
  building_id: (fact) => ({ text: nameOf(String(fact)) }),
  campaign_id: (fact) => ({ text: nameOf(String(fact)) }),
  member_id: (fact) => ({ text: `${t('op.member')} ${shortId(String(fact))}` }),
  leader_id: (fact) => ({ text: `${t('op.leader')} ${shortId(String(fact))}` }),
  rider_id: (fact) => ({ text: `${t('op.rider')} ${shortId(String(fact))}` }),
  reason: (fact) => ({ text: word('reason', String(fact)) }),
  parcels: (fact) => ({ text: t('op.parcels_n', { n: (fact as unknown[]).length }) }),
  parcel_ids: (fact) => ({ text: t('op.parcels_n', { n: (fact as unknown[]).length }) }),
  sub_orders: (fact) => ({ text: t('op.subs_n', { n: (fact as unknown[]).length }) }),
  sub_order_ids: (fact) => ({ text: t('op.subs_n', { n: (fact as unknown[]).length }) }),
  closes_at: (fact) => ({ text: `${t('op.closes')} ${dayAndTime(String(fact))}` }),
  pay_before: (fact) => ({ text: `${t('op.payBefore')} ${dayAndTime(String(fact))}` }),
  picks_up_at: (fact) => ({ text: `${t('op.picksUp')} ${dayAndTime(String(fact))}` }),
}

/** The parts of an event that are shown beside its name. */
export function told(event: { name: string; body: unknown }): Part[] {
  const facts = event.body as Record<string, unknown>
  // An order's states and a sub-order's are called differently.
  const set = event.name === 'orders.sub_order_advanced' ? 'sub' : 'order'
  const parts: Part[] = []
  for (const [name, tell] of Object.entries(SHOWN)) {
    const fact = facts[name]
    if (fact !== undefined && fact !== null && fact !== '') parts.push(tell(fact, set))
  }
  for (const [name, fact] of Object.entries(facts))
    if (name.endsWith('_fen') && typeof fact === 'number') parts.push({ text: yuan(fact) })
  return parts
}
