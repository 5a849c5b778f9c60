/** People as operators look for them: all of theirs, or the owner of a phone, which is kept out of addresses. */

import { ref } from 'vue'
import { api, good } from '@/api/client'
import { usePaged } from '@/operator/paging'

/** Who has a phone, as a list of one or none. Raises Refusal, Unreachable. */
export function ownerOf(phone: string) {
  return good(api.POST('/v1/people/owner', { body: { phone } }))
}

/** A list of people that is read from now on, of the owner of `phone` where one is named. */
export function usePeople() {
  const phone = ref('')
  const people = usePaged((after: string | undefined) => {
    const owned = phone.value.replace(/\D/g, '')
    return owned
      ? ownerOf(owned)
      : good(api.GET('/v1/people', { params: { query: { after: after ?? '', limit: 50 } } }))
  })
  void people.load()
  return { phone, people }
}
