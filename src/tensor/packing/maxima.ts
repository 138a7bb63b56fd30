// Double quantisation (QLoRA, section 3): the maxima of blocks less their mean, eight bits each, one scale by 256 of them. Codes,
// mean and scales are bitsandbytes 0.50.2's on a CPU, bit for bit.
import { largest } from './packing.ts'
import { meanLikeTorch } from './torch-mean.ts'

const round = Math.fround

/** Maxima that share a scale. */
const group = 256
/** Where the scales begin, behind the codebook of 256 values and the mean. */
const nestedAt = 257

/** The words and the scales that so many maxima take. */
export function maximaWords(blocks: number): { words: number; scales: number } {
  return { words: Math.ceil(blocks / 4), scales: nestedAt + Math.ceil(blocks / group) }
}

/**
 * bitsandbytes' signed dynamic map of 256 values, ascending (8-bit optimizers, arXiv:2110.02861): for i in 0..6 the middles of
 * 2^i steps from 0.1 to 1, times 10^(i - 6), of both signs; 0 and 1 besides.
 */
export const dynamicMap: Float32Array<ArrayBuffer> = (() => {
  const found = [0, 1]
  const [first, last] = [round(0.1), 1]
  for (let i = 0; i < 7; i++) {
    const steps = 2 ** i
    const step = round(round(last - first) / steps)
    // torch.linspace counts its second half from the end; product and sum are rounded together.
    const at = (k: number) => round(k < (steps + 1) >> 1 ? first + step * k : last - step * (steps - k))
    const scale = round(1 / 10 ** (6 - i))
    for (let k = 0; k < steps; k++) {
      const middle = round(scale * round(round(at(k) + at(k + 1)) / 2))
      found.push(middle, -middle)
    }
  }
  return Float32Array.from(found).sort()
})()

let table: Uint8Array | undefined

/**
 * The code of x in [-1, 1] stands at round((x + 1) / 2 * 65535): bitsandbytes looks it up in as many cells, so that near a middle of
 * two values the farther one may be taken.
 */
function cells(): Uint8Array {
  if (table) return table
  table = new Uint8Array(65536)
  let code = 0
  for (let cell = 0; cell < table.length; cell++) {
    const x = round(round((2 * cell) / 65535) - 1)
    while (code < 255 && x > round(round(dynamicMap[code]! + dynamicMap[code + 1]!) * 0.5)) code++
    table[cell] = code
  }
  return table
}

/** Packs maxima into `codes`, a byte each, and `scales`: [256 values][mean][largest by 256]. */
export function encodeMaxima(maxima: Float32Array, codes: Uint8Array, scales: Float32Array): void {
  const mean = meanLikeTorch(maxima)
  scales.set(dynamicMap)
  scales[256] = mean
  const rest = maxima.map((value) => value - mean)
  const find = cells()
  for (let from = 0; from < rest.length; from += group) {
    const to = Math.min(rest.length, from + group)
    const most = largest(rest, from, to)
    scales[nestedAt + from / group] = most
    if (most === 0) continue // codes 0
    const inverse = round(1 / most)
    for (let i = from; i < to; i++) {
      const x = Math.min(1, Math.max(-1, round(rest[i]! * inverse)))
      // Exact up to the last rounding, as a fused multiply-add is.
      codes[i] = find[Math.trunc(round(65535 * (round(1 + x) * 0.5) + 0.5))]!
    }
  }
}

/** Maxima `from` to before `to` of packed ones. */
export function decodeMaxima(codes: Uint8Array, scales: Float32Array, from: number, to: number): Float32Array {
  const out = new Float32Array(to - from)
  for (let i = from; i < to; i++) {
    out[i - from] = round(scales[codes[i]!]! * scales[nestedAt + Math.floor(i / group)]!) + scales[256]!
  }
  return out
}
