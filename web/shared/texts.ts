/** Texts with holes: `{n}` is what fills n, and `{n|seat|seats}` the word that goes with one of them, or with more. */

const HOLES = /\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g

/** A text, its holes filled; one that nothing fills is empty. */
export function fill(text: string, holes: Readonly<Record<string, string | number>>): string {
  return text.replace(HOLES, (_, hole: string, one?: string, more?: string) => {
    if (one === undefined) return String(holes[hole] ?? '')
    return (Number(holes[hole]) === 1 ? one : more) ?? ''
  })
}
