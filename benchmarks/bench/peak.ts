// What the machine can do at most: 128-bit multiply-adds a second in WebAssembly on one thread, and bytes copied.
// The kernels are bytes written here, so that no compiler chooses what is measured.

const I32 = 0x7f
const F32 = 0x7d
const V128 = 0x7b
const mul = [0xfd, 0xe6, 0x01]
const add = [0xfd, 0xe4, 0x01]
const madd = [0xfd, 0x85, 0x02] // relaxed: a b + c
const splat = [0xfd, 0x13]
const lane0 = [0xfd, 0x1f, 0]
const get = (local: number) => [0x20, local]
const set = (local: number) => [0x21, local]

/** An unsigned LEB128 number. */
function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(Math.floor(value / 128))]
}
/** A signed one. */
function sleb(value: number): number[] {
  return value >= -64 && value < 64 ? [value & 127] : [(value & 127) | 128, ...sleb(value >> 7)]
}
const sized = (bytes: number[]) => [...leb(bytes.length), ...bytes]
const part = (id: number, bytes: number[]) => [id, ...sized(bytes)]
function f32(value: number): number[] {
  return [0x43, ...new Uint8Array(new Float32Array([value]).buffer)]
}

/** Independent sums: enough to hide an addition's latency on every port, few enough for 16 registers. */
const SUMS = 12
const FLOPS = 2 * 4 * SUMS

/**
 * `run(n: i32): f32`: n rounds of sum_i += sum_(i+1) c, a product of its own for each sum, since equal ones would be computed
 * once. Fused: sum_i = c c + sum_i. Each once a round: unrolled, V8 takes one sum after the other, and keeps some in memory.
 */
export function peakModule(relaxed: boolean): Uint8Array<ArrayBuffer> {
  const c = 1
  const sum = (i: number) => 2 + i
  const each = (bytes: (i: number) => number[]) => Array.from({ length: SUMS }, (_, i) => bytes(i)).flat()
  const start = [...f32(1e-3), ...splat, ...set(c), ...each((i) => [...f32(0), ...splat, ...set(sum(i))])]
  const body = each((i) => {
    if (relaxed) return [...get(c), ...get(c), ...get(sum(i)), ...madd, ...set(sum(i))]
    return [...get(sum((i + 1) % SUMS)), ...get(c), ...mul, ...get(sum(i)), ...add, ...set(sum(i))]
  })
  const count = [...get(0), 0x41, ...sleb(-1), 0x6a, 0x22, 0, 0x0d, 0]
  const total = each((i) => [...get(sum(i)), ...(i > 0 ? add : [])])
  const code = [...start, 0x03, 0x40, ...body, ...count, 0x0b, ...total, ...lane0, 0x0b]
  const locals = [1, ...leb(1 + SUMS), V128]
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...part(1, [1, 0x60, 1, I32, 1, F32]),
    ...part(3, [1, 0]),
    ...part(7, [1, ...sized([...Buffer.from('run')]), 0, 0]),
    ...part(10, [1, ...sized([...locals, ...code])]),
  ])
}

/** Rounds of `run` that take 10 to 25 ms, and their multiplications and additions. */
export const peakRounds = 5_000_000
export const peakFlops = peakRounds * FLOPS

/** GFLOP/s of one thread, the best of `runs` runs; undefined where the engine lacks the instruction. */
export async function multiplyAddPeak(relaxed: boolean, runs: number): Promise<number | undefined> {
  const bytes = peakModule(relaxed)
  if (!WebAssembly.validate(bytes)) return undefined
  const { instance } = await WebAssembly.instantiate(bytes)
  const run = instance.exports.run as (n: number) => number
  let best = 0
  for (let i = -2; i < runs; i++) {
    const begun = performance.now()
    run(peakRounds)
    const rate = peakFlops / (performance.now() - begun) / 1e6
    if (i >= 0) best = Math.max(best, rate)
  }
  return best
}

/** GB/s of copying 64 MB within memory, bytes read and written both counted; the best of `runs`. */
export function copyPeak(runs: number): number {
  const bytes = 64e6
  const memory = new Uint8Array(2 * bytes).fill(1)
  let best = 0
  for (let i = 0; i < runs; i++) {
    const begun = performance.now()
    memory.copyWithin(bytes, 0, bytes)
    best = Math.max(best, (2 * bytes) / (performance.now() - begun) / 1e6)
  }
  return best
}
