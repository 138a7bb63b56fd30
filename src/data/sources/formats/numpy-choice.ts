// What numpy's old generator draws: `numpy.random.seed(s); numpy.random.choice(list, n, replace=False)`, which splits of published
// sets are defined by. MT19937 (Matsumoto and Nishimura, 1998) in whole numbers, and Fisher-Yates with numpy's way to bound a number.

/** A generator of 32-bit numbers as `numpy.random.seed(seed)` starts it. */
function mt19937(seed: number): () => number {
  const state = new Uint32Array(624)
  state[0] = seed
  for (let i = 1; i < 624; i++) {
    const before = state[i - 1]! ^ (state[i - 1]! >>> 30)
    state[i] = Math.imul(1812433253, before) + i
  }
  let at = 624
  const twist = () => {
    for (let i = 0; i < 624; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff)
      state[i] = state[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
    }
    at = 0
  }
  return () => {
    if (at === 624) twist()
    let y = state[at++]!
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }
}

/** Draws without putting back, one call after another. */
export function numpyChoice(seed: number): <T>(items: readonly T[], count: number) => T[] {
  const next = mt19937(seed)
  const upTo = (most: number): number => {
    if (most === 0) return 0
    const mask = 2 ** (32 - Math.clz32(most)) - 1
    for (;;) {
      const value = (next() & mask) >>> 0
      if (value <= most) return value
    }
  }
  return (items, count) => {
    const order = items.map((_, i) => i)
    for (let i = order.length - 1; i > 0; i--) {
      const j = upTo(i)
      const kept = order[i]!
      order[i] = order[j]!
      order[j] = kept
    }
    return order.slice(0, count).map((i) => items[i]!)
  }
}
