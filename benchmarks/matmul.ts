// Speed of the wasm backend's matmul and attention on the sizes of a ViT-S at 224 px (batch 8) and a small ViT at 32 px.
// Prints GFLOP/s (median, p10, p90 of the runs) for one thread and all asked for; `--json` prints one object instead.
// Usage: node --import tsx benchmarks/matmul.ts [--threads 1,2] [--runs 20] [--plain] [--only TEXT] [--json]
import { parseArgs } from 'node:util'
import { type Backend, type Buf, createWasm, Rng } from 'vitune/tensor'

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '1,2' },
    runs: { type: 'string', default: '20' },
    plain: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
})

interface Work {
  readonly name: string
  readonly flops: number
  /** Makes the buffers and gives back what queues one call. */
  prepare(backend: Backend, make: (length: number) => Buf): () => void
}

function product(name: string, m: number, n: number, k: number, transA = 0, transB = 0): Work {
  return {
    name: `${name} ${m} x ${k} x ${n}${transA ? ' A^T' : ''}${transB ? ' B^T' : ''}`,
    flops: 2 * m * n * k,
    prepare(backend, make) {
      const [a, b, bias, y] = [make(m * k), make(k * n), make(n), make(m * n)]
      const params = {
        batch: 1,
        m,
        n,
        k,
        transA,
        transB,
        strideA: 0,
        strideB: 0,
        alpha: 1,
        act: 0,
        accumulate: 0,
        format: 0,
        block: 0,
      }
      return () => backend.dispatch('matmul', { y, a, b, bias }, params)
    },
  }
}

function attentions(b: number, n: number, h: number, d: number): Work[] {
  const params = { b, n, h, d, scale: d ** -0.5 }
  const size = b * n * h * d
  const name = `${b} x ${n} tokens, ${h} heads of ${d}`
  return [
    {
      name: `attention ${name}`,
      flops: 4 * b * h * n * n * d,
      prepare(backend, make) {
        const [q, k, v, o, lse] = [make(size), make(size), make(size), make(size), make(b * h * n)]
        return () => backend.dispatch('attention', { o, lse, q, k, v }, params)
      },
    },
    {
      name: `attentionGrad ${name}`,
      flops: 10 * b * h * n * n * d,
      prepare(backend, make) {
        const [q, k, v, o, lse] = [make(size), make(size), make(size), make(size), make(b * h * n)]
        const [grad, dq, dk, dv] = [make(size), make(size), make(size), make(size)]
        backend.dispatch('attention', { o, lse, q, k, v }, params)
        return () => backend.dispatch('attentionGrad', { dq, dk, dv, do: grad, q, k, v, o, lse }, params)
      },
    },
  ]
}

/** y = x W^T, dx = dy W and dW = dy^T x of one linear layer. */
function layer(rows: number, from: number, to: number): Work[] {
  return [product('y ', rows, to, from, 0, 1), product('dx', rows, from, to), product('dW', to, from, rows, 1)]
}

const works: Work[] = [
  product('the target', 2056, 1536, 384),
  ...layer(2056, 384, 384),
  ...layer(2056, 384, 1536),
  ...layer(2056, 1536, 384),
  ...layer(2056, 384, 8),
  ...layer(2056, 8, 384),
  ...layer(4160, 128, 128),
  ...layer(4160, 128, 512),
  ...layer(4160, 512, 128),
  ...layer(4160, 192, 192),
  ...attentions(8, 257, 6, 64),
  ...attentions(64, 65, 4, 32),
].filter((work) => work.name.includes(values.only))

const sorted = (times: number[]) => times.sort((a, b) => a - b)

async function measure(
  backend: Backend,
  work: Work,
  runs: number,
): Promise<{ median: number; p10: number; p90: number }> {
  const rng = new Rng(1)
  const made: Buf[] = []
  const make = (length: number) => {
    const buf = backend.alloc(length, 'f32')
    backend.write(
      buf,
      Float32Array.from({ length }, () => rng.uniform() - 0.5),
    )
    made.push(buf)
    return buf
  }
  const call = work.prepare(backend, make)
  // Enough calls a run that starting and awaiting them does not show.
  const calls = Math.max(1, Math.ceil(2e8 / work.flops))
  const times: number[] = []
  for (let run = -3; run < runs; run++) {
    const start = performance.now()
    for (let i = 0; i < calls; i++) call()
    await backend.sync()
    if (run >= 0) times.push((performance.now() - start) / calls)
  }
  for (const buf of made) backend.free(buf)
  const rate = (at: number) => work.flops / sorted(times)[Math.min(runs - 1, Math.floor(runs * at))]! / 1e6
  return { median: rate(0.5), p10: rate(0.9), p90: rate(0.1) }
}

const runs = Number(values.runs)
const report: Record<string, unknown>[] = []
const disable = values.plain ? (['relaxed-simd'] as const) : []
for (const threads of values.threads.split(',').map(Number)) {
  const backend = await createWasm({ threads, disable })
  const { caps } = backend
  if (!values.json)
    console.log(`\n${caps.threads} thread(s), ${caps.relaxedSimd ? 'relaxed' : 'plain'} SIMD, ${runs} runs`)
  for (const work of works) {
    const result = await measure(backend, work, runs)
    report.push({ work: work.name, threads: caps.threads, relaxedSimd: caps.relaxedSimd, gflops: result })
    const [median, p10, p90] = [result.median, result.p10, result.p90].map((rate) => rate.toFixed(1).padStart(6))
    if (!values.json) console.log(`${work.name.padEnd(48)} ${median} GFLOP/s  (p10 ${p10}, p90 ${p90})`)
  }
  await backend.dispose()
}
if (values.json) console.log(JSON.stringify({ runtime: process.version, cpu: process.arch, runs, results: report }))
