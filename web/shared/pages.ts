/** Lists that are wanted whole: read page by page to their end. */

// More than a campus has; a list that never ends would never be read to its end.
const PAGES_MAX = 20

/** Every item of a list; `read` gives the page after a place, the first for ''. Raises what reading raises. */
export async function everyPage<T>(
  read: (after: string) => Promise<{ items: T[]; next: string | null }>,
): Promise<T[]> {
  const items: T[] = []
  let after = ''
  for (let i = 0; i < PAGES_MAX; i += 1) {
    const page = await read(after)
    items.push(...page.items)
    if (page.next === null) break
    after = page.next
  }
  return items
}
