/** Idempotency-Keys of writes: one for each wish, however often it is asked for until it is answered. */

// Our choice: whoever wants the very same later than this wants it once more.
const KEPT_MS = 10 * 60_000
const KEPT_MAX = 100

const unanswered = new Map<string, { key: string; sinceMs: number }>()

/**
 * The key of a wish: what is asked for, and who asks.
 *
 * As long as nobody knows what came of it, whoever presses again asks about the same, so that it is done once.
 */
export function keyOf(wish: string, newKey: () => string): string {
  const nowMs = Date.now()
  for (const [each, { sinceMs }] of unanswered) if (nowMs - sinceMs >= KEPT_MS) unanswered.delete(each)
  const known = unanswered.get(wish)
  if (known) return known.key
  const key = newKey()
  const oldest = unanswered.keys().next()
  if (unanswered.size >= KEPT_MAX && !oldest.done) unanswered.delete(oldest.value)
  unanswered.set(wish, { key, sinceMs: nowMs })
  return key
}

/** A wish was answered, by a yes or a no: the same once more is another one. */
export function answered(wish: string): void {
  unanswered.delete(wish)
}
