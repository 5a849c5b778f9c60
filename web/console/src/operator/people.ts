/** People as operators look for them: all of theirs, or the owner of a phone. */

import { ref } from 'vue'
import { api, good } from '@/api/client'
import { usePaged } from '@/operator/paging'

/** A list of people that is read from now on, of the owner of `phone` where one is named. */
export function usePeople() {
  const phone = ref('')
  const people = usePaged((after: string | undefined) =>
    good(
      api.GET('/v1/people', {
        params: { query: { after: after ?? '', limit: 50, phone: phone.value.replace(/\D/g, '') || undefined } },
      }),
    ),
  )
  void people.load()
  return { phone, people }
}
