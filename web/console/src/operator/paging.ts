/** Lists that are read page by page. */

import { computed, shallowRef, type Ref } from 'vue'
import { useLoad } from '@shared/loading'

interface Page<T, A> {
  items: readonly T[]
  next: A | null
}

/** A list that is read so; what its places are is its own affair. */
export interface Paged<T> {
  items: Readonly<Ref<readonly T[] | undefined>>
  next: Readonly<Ref<string | number | null>>
  error: Readonly<Ref<unknown>>
  isLoadingMore: Readonly<Ref<boolean>>
  load: () => Promise<void>
  more: () => Promise<void>
}

/** Read a list with `read`, which gives the page after a place; a page may be empty and still not be the last. */
export function usePaged<T, A extends string | number>(read: (after: A | undefined) => Promise<Page<T, A>>) {
  const items = shallowRef<readonly T[]>()
  const next = shallowRef<A | null>(null)
  const isFirstPage = shallowRef(true)
  const first = useLoad(() => read(undefined))
  const rest = useLoad(() => read(next.value ?? undefined))

  /** Read the first page anew. */
  async function load(): Promise<void> {
    const page = await first.load()
    if (!page) return
    items.value = page.items
    next.value = page.next
    isFirstPage.value = true
  }

  /** Read one page more. */
  async function more(): Promise<void> {
    const page = await rest.load()
    if (!page) return
    items.value = [...(items.value ?? []), ...page.items]
    next.value = page.next
    isFirstPage.value = false
  }

  return {
    items,
    next,
    isFirstPage,
    load,
    more,
    error: computed(() => first.error.value ?? rest.error.value),
    isLoading: first.isLoading,
    isLoadingMore: rest.isLoading,
  }
}
