/** Rates out of counts that only grow: how many a second, over the last moments, for the last minutes. */

type Point = readonly [at: number, rate: number]

const SHOWN_MS = 300_000
// A rate over a shorter time would jump about.
const OVER_MS = 10_000

/** Orders placed and paid, by what was counted at which time. */
export class Rates {
  placed: readonly Point[] = []
  paid: readonly Point[] = []
  private taken: { at: number; placed: number; paid: number }[] = []

  /** Remember a reading of the counts; one that is less than before began to count anew. */
  take(at: number, placed: number, paid: number): void {
    const last = this.taken.at(-1)
    if (last && placed < last.placed) this.taken = []
    this.taken.push({ at, placed, paid })
  }

  /** Add a point for now; nothing while there is not enough to compare. */
  tick(at: number): void {
    const last = this.taken.at(-1)
    if (!last) return
    while (this.taken.length > 2 && (this.taken[1]?.at ?? at) <= at - OVER_MS) this.taken.shift()
    const first = this.taken[0] ?? last
    const seconds = Math.max(1, (at - first.at) / 1000)
    if (at - first.at < 1000) return
    this.placed = [...this.shown(this.placed, at), [at, (last.placed - first.placed) / seconds]]
    this.paid = [...this.shown(this.paid, at), [at, (last.paid - first.paid) / seconds]]
  }

  /** The newest rate of orders placed. */
  get newest(): number | undefined {
    return this.placed.at(-1)?.[1]
  }

  private shown(points: readonly Point[], at: number): readonly Point[] {
    return points.filter(([when]) => when > at - SHOWN_MS)
  }
}
