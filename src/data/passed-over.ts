// What was passed over in a folder of images, by kind and by name: nothing is left unread in silence.
import { listed } from '../platform/listed.ts'

/** Entries of one kind that were passed over. */
export interface PassedOver {
  /** What they are: `files ending in .txt`, `links that leave the folder`. */
  readonly kind: string
  readonly count: number
  /** The first of them, at most five, by their place below the folder. */
  readonly names: readonly string[]
}

const shown = 5

/** Collects what is passed over. */
export interface Collector {
  add(kind: string, name: string): void
  list(): PassedOver[]
}

export function collector(): Collector {
  const kinds = new Map<string, { count: number; names: string[] }>()
  return {
    add(kind, name) {
      const found = kinds.get(kind) ?? { count: 0, names: [] }
      kinds.set(kind, found)
      if (found.count++ < shown) found.names.push(name)
    },
    list: () => [...kinds].map(([kind, { count, names }]) => ({ kind, count, names })),
  }
}

/** One line a kind: `passed over pipes (2): rose/p.png, q`. */
export const passedOverText = ({ kind, count, names }: PassedOver): string =>
  `passed over ${kind} (${count}): ${listed(names, shown, count)}`
