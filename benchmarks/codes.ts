// Speed of products of codes beside the f32 product of the same shape, a ViT-S at 224 px: turns of both in one run.
// Prints 10^9 multiply-adds a second (median of the runs) of matmul, of quantizeRows with matmulI8, and what share quantizeRows has.
// Usage: node --import tsx benchmarks/codes.ts [--threads 1,2] [--runs 20] [--disable dot,dot16] [--only TEXT]
import { parseArgs } from 'node:util'
import { type Backend, type Buf, createWasm, Rng, type WasmOptions } from 'vitune/tensor'

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '1,2' },
    runs: { type: 'string', default: '20' },
    disable: { type: 'string', default: '' },
    only: { type: 'string', default: '' },
  },
})
const runs = Number(values.runs)
const median = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!

/** Milliseconds of each call, measured in turns. */
async function turns(backend: Backend, calls: readonly (() => void)[], times: number): Promise<number[]> {
  const taken = calls.map((): number[] => [])
  for (let run = -3; run < runs; run++) {
    for (const [i, call] of calls.entries()) {
      const start = performance.now()
      for (let j = 0; j < times; j++) call()
      await backend.sync()
      if (run >= 0) taken[i]!.push((performance.now() - start) / times)
    }
  }
  return taken.map(median)
}

async function compare(
  backend: Backend,
  m: number,
  n: number,
  k: number,
  transB: number,
  act: number,
): Promise<string> {
  const rng = new Rng(1)
  const made: Buf[] = []
  const make = (length: number, fill?: () => number) => {
    const buf = backend.alloc(length, 'f32')
    const next = fill ?? (() => rng.uniform() - 0.5)
    backend.write(buf, Float32Array.from({ length }, next))
    made.push(buf)
    return buf
  }
  const [x, w, bias, y, slope] = [make(m * k), make(k * n), make(n), make(m * n), make(m * n)]
  const [aScale, bScale] = [make(m), make(n)]
  const words = Math.ceil(k / 4)
  const codes = backend.alloc(m * words, 'i32')
  const b = backend.alloc(transB ? n * words : k * Math.ceil(n / 4), 'i32')
  made.push(codes, b)
  backend.write(
    b,
    Int32Array.from({ length: b.length }, () => 0x01010101 * rng.below(64)),
  )
  const shape = { m, n, k, transB, alpha: 1, act, accumulate: 0 }
  const f32 = { ...shape, batch: 1, transA: 0, strideA: 0, strideB: 0, format: 0, block: 0 }
  const out = act === 1 ? { y, slope } : { y }
  const quantize = () => backend.dispatch('quantizeRows', { codes, scale: aScale, x }, { m, k })
  const product = () => backend.dispatch('matmulI8', { ...out, a: codes, aScale, b, bScale, bias }, shape)
  const work = m * n * k
  const [plain, integer, quantizing] = (await turns(
    backend,
    [
      () => backend.dispatch('matmul', { ...out, a: x, b: w, bias }, f32),
      () => {
        quantize()
        product()
      },
      quantize,
    ],
    Math.max(1, Math.ceil(2e8 / work)),
  )) as [number, number, number]
  for (const buf of made) backend.free(buf)
  const rate = (time: number) => (work / time / 1e6).toFixed(1).padStart(6)
  const name = `${m} x ${k} x ${n}${transB ? ' B^T' : ''}${act ? ' gelu' : ''}`
  const share = ((100 * quantizing) / integer).toFixed(1).padStart(4)
  return `${name.padEnd(26)} f32 ${rate(plain)}   codes ${rate(integer)}   ${(plain / integer).toFixed(2)} times, quantizeRows ${share} %`
}

const disable = values.disable.split(',').filter(Boolean) as NonNullable<WasmOptions['disable']>
for (const threads of values.threads.split(',').map(Number)) {
  const backend = await createWasm({ threads, disable })
  console.log(`\n${process.version}, ${backend.caps.threads} thread(s), ${backend.caps.integer}, ${runs} runs`)
  for (const m of [2056, 257]) {
    for (const [n, k] of [
      [384, 384],
      [1536, 384],
      [384, 1536],
    ] as const) {
      for (const [transB, act] of [[1, 0], ...(n > k ? [[1, 1] as const] : []), [0, 0]] as const) {
        const name = `${m} x ${k} x ${n}`
        if (name.includes(values.only)) console.log(await compare(backend, m, n, k, transB, act))
      }
    }
  }
  await backend.dispose()
}
