/** How a person calls an order across a counter: the last four of its id, the same on every board. Pure. */

/** The short number of an order or of one of its sub-orders: 8F2K. */
export function shortNumber(id: string): string {
  return id
    .replace(/\.\d+$/, '')
    .slice(-4)
    .toUpperCase()
}
