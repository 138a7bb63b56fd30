// The order in which an epoch visits the samples, and its cut into batches. Pure: the same seed and epoch give the same
// order, so a resumed run needs no stored state.
import { philox, Rng } from '../tensor/philox.ts'

/** How an epoch's order is made. */
export interface OrderOptions {
  /**
   * `shuffle`: every sample once; `sequential`: by index; `balanced`: OTX's sampler, N / K rounds of one random sample
   * of each class that has any; `balanced-efficient`: its shorter epoch, of no more rounds than it takes to see each sample of
   * the smallest class with probability 0.999.
   */
  readonly mode: 'shuffle' | 'sequential' | 'balanced' | 'balanced-efficient'
  readonly seed: number
  readonly epoch: number
}

/** Whether an order tells samples apart by class. */
export const isBalanced = (mode: OrderOptions['mode']): boolean => mode === 'balanced' || mode === 'balanced-efficient'

function balanced(labels: ArrayLike<number>, rng: Rng, efficient: boolean): number[] {
  const byClass = new Map<number, number[]>()
  for (let i = 0; i < labels.length; i++) {
    const list = byClass.get(labels[i]!)
    if (list) list.push(i)
    else byClass.set(labels[i]!, [i])
  }
  const groups = [...byClass].sort(([a], [b]) => a - b).map(([, list]) => list)
  let rounds = Math.floor(labels.length / Math.max(1, groups.length))
  const smallest = Math.min(...groups.map((list) => list.length))
  if (efficient && smallest > 1) {
    rounds = Math.max(1, Math.min(rounds, Math.floor(Math.log(0.001) / Math.log(1 - 1 / smallest))))
  }
  const order: number[] = []
  for (let i = 0; i < rounds; i++) for (const list of groups) order.push(list[rng.below(list.length)]!)
  return order
}

/** The random numbers of one sample in one epoch. */
export function sampleRng(seed: number, epoch: number, index: number): Rng {
  const key = new Uint32Array(4)
  philox(index >>> 0, epoch >>> 0, 0xa097, 0, seed >>> 0, 0, key)
  return new Rng(key[0]!, key[1]!)
}

/** Sample indices of one epoch, in order; `keys` are what balanced orders tell them apart by (divide.ts), one a sample. */
export function epochOrder(keys: ArrayLike<number>, options: OrderOptions): number[] {
  const rng = new Rng(options.seed, options.epoch)
  if (isBalanced(options.mode)) return balanced(keys, rng, options.mode === 'balanced-efficient')
  const order = Array.from({ length: keys.length }, (_, i) => i)
  return options.mode === 'shuffle' ? rng.shuffle(order) : order
}

/** Samples in an endless order of rounds, each of which has every sample once: `count` of them from `first` on. */
export function roundRobin(length: number, seed: number, first: number, count: number): number[] {
  const keys = new Int32Array(length)
  const places: number[] = []
  for (let round = Math.floor(first / length); places.length < count; round++) {
    const order = epochOrder(keys, { mode: 'shuffle', seed, epoch: round })
    places.push(...order.slice(Math.max(0, first - round * length), first + count - round * length))
  }
  return places
}

/** The order in pieces of `size`; the last may be shorter, or is left out with `dropLast`. */
export function toBatches(order: readonly number[], size: number, dropLast = false): number[][] {
  if (!(Number.isInteger(size) && size > 0)) throw new Error(`batch size: must be whole and positive, got ${size}`)
  const batches: number[][] = []
  for (let i = 0; i < order.length; i += size) {
    if (!dropLast || i + size <= order.length) batches.push(order.slice(i, i + size))
  }
  return batches
}
