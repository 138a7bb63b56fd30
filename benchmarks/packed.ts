// What products cost whose second operand is packed, beside the same in f32: ratios of medians, taken in turns.
// Usage: node --import tsx benchmarks/packed.ts [--threads 2] [--runs 15] [--rows 257,2056]
import { parseArgs } from 'node:util'
import { createWasm, Rng } from 'vitune/tensor'
import { packedFormats } from '../src/backend/kernels.ts'

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '15' },
    rows: { type: 'string', default: '257,2056' },
  },
})

const block = 64
const backend = await createWasm({ threads: Number(values.threads) })
const rng = new Rng(1, 5)
const make = (n: number) => {
  const buf = backend.alloc(n, 'f32')
  backend.write(
    buf,
    Float32Array.from({ length: n }, () => rng.normal()),
  )
  return buf
}
const median = (of: number[]) => of.sort((a, b) => a - b)[of.length >> 1]!

for (const m of values.rows.split(',').map(Number)) {
  for (const [n, k] of [
    [384, 384],
    [1536, 384],
    [384, 1536],
  ] as const) {
    for (const transB of [1, 0]) {
      const [a, y, plain, bScale] = [make(m * k), make(m * n), make(n * k), make(n * k)]
      const words = backend.alloc(n * k, 'i32')
      backend.write(
        words,
        Int32Array.from({ length: n * k }, () => rng.below(2 ** 30)),
      )
      const times: Record<string, number[]> = {}
      const call = async (name: string, format: number) => {
        const given = format === 0 ? { b: plain } : { b: words, bScale }
        const numbers = {
          batch: 1,
          m,
          n,
          k,
          transA: 0,
          transB,
          strideA: 0,
          strideB: 0,
          alpha: 1,
          act: 0,
          accumulate: 0,
        }
        const calls = Math.max(1, Math.round(2e9 / (m * n * k) / 4))
        const start = performance.now()
        for (let i = 0; i < calls; i++) backend.dispatch('matmul', { y, a, ...given }, { ...numbers, format, block })
        await backend.sync()
        times[name] ??= []
        times[name]!.push((performance.now() - start) / calls)
      }
      for (let i = 0; i < Number(values.runs); i++) {
        await call('f32', 0)
        for (const [name, format] of Object.entries(packedFormats)) await call(name, format)
      }
      const base = median(times.f32!)
      const ratios = Object.keys(packedFormats).map((name) => `${name} ${(median(times[name]!) / base).toFixed(3)}`)
      console.log(`${m} x ${k} x ${n}${transB ? ' B^T' : ''}: f32 ${base.toFixed(2)} ms, ${ratios.join(', ')}`)
      for (const buf of [a, y, plain, bScale, words]) backend.free(buf)
    }
  }
}
await backend.dispose()
