// Philox4x32-10 (Salmon et al., 2011), the counter-based generator behind dropout, shuffling and initial weights:
// a (seed, stream, counter) gives the same numbers on every backend and after a resume.

const M0 = 0xd2511f53
const M1 = 0xcd9e8d57
const W0 = 0x9e3779b9
const W1 = 0xbb67ae85

function mulHi(a: number, b: number): number {
  const al = a & 0xffff
  const ah = a >>> 16
  const bl = b & 0xffff
  const bh = b >>> 16
  const mid = ah * bl + ((al * bl) >>> 16)
  const low = (mid & 0xffff) + al * bh
  return (ah * bh + Math.floor(mid / 65536) + Math.floor(low / 65536)) >>> 0
}

/** Four random u32 words of the counter block (c0, c1, c2, c3) under the key (k0, k1). */
export function philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, out: Uint32Array): void {
  for (let round = 0; round < 10; round++) {
    const h0 = mulHi(M0, c0)
    const l0 = Math.imul(M0, c0) >>> 0
    const h1 = mulHi(M1, c2)
    const l1 = Math.imul(M1, c2) >>> 0
    c0 = (h1 ^ c1 ^ k0) >>> 0
    c1 = l1
    c2 = (h0 ^ c3 ^ k1) >>> 0
    c3 = l0
    k0 = (k0 + W0) >>> 0
    k1 = (k1 + W1) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/** A stream of random numbers on the host, by seed and stream number; its position is a plain number that a checkpoint can hold. */
export class Rng {
  private readonly block = new Uint32Array(4)
  private at = 4
  private counter = 0
  constructor(
    readonly seed: number,
    readonly stream = 0,
  ) {}

  uint32(): number {
    if (this.at === 4) {
      philox(this.counter++ >>> 0, this.stream >>> 0, 0x5eed, 1, this.seed >>> 0, 0, this.block)
      this.at = 0
    }
    return this.block[this.at++]!
  }

  /** Uniform in [0, 1), 32 bits. */
  uniform(): number {
    return this.uint32() / 4294967296
  }

  /** Uniform integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.uniform() * n)
  }

  /** Standard normal by Box-Muller. */
  normal(): number {
    const u = 1 - this.uniform()
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.uniform())
  }

  /** Fisher-Yates, in place. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const t = items[i]!
      items[i] = items[j]!
      items[j] = t
    }
    return items
  }
}
