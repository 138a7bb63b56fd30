// Where the time of one training step goes: every kernel's calls, milliseconds, share and speed, as a table.
// Kernels are timed one by one on one thread, where a dispatch has run when it returns; with more only steps are.
// Usage: node --import tsx benchmarks/profile.ts [--model vits|small] [--method lora|dora|full|linear] [--batch 8]
//   [--threads 1] [--steps 3] [--shapes] [--checkpointing] [--cpu] [--json]
// `--cpu` counts the process's own processor time, for a machine that is busy with something else.
import { parseArgs } from 'node:util'
import {
  type Backend,
  type Batch,
  createWasm,
  fit,
  type KernelName,
  type Method,
  methods,
  multiclass,
  parseVitConfig,
  prepare,
  Rng,
  Vit,
} from 'vitune'

const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'vits' },
    method: { type: 'string', default: 'lora' },
    batch: { type: 'string', default: '8' },
    threads: { type: 'string', default: '1' },
    steps: { type: 'string', default: '3' },
    shapes: { type: 'boolean', default: false },
    checkpointing: { type: 'boolean', default: false },
    cpu: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const configs: Record<string, unknown> = {
  // facebook/dinov2-small at 224 px: 257 tokens.
  vits: {
    model_type: 'dinov2',
    hidden_size: 384,
    num_hidden_layers: 12,
    num_attention_heads: 6,
    image_size: 224,
    patch_size: 14,
  },
  // What npm start fine-tunes: 32 px, 65 tokens.
  small: {
    model_type: 'vit',
    hidden_size: 128,
    num_hidden_layers: 6,
    num_attention_heads: 4,
    intermediate_size: 512,
    image_size: 32,
    patch_size: 4,
  },
}
const method = flags.method as Method
if (!configs[flags.model] || !methods.includes(method)) {
  throw new Error(
    `profile: --model must be ${Object.keys(configs).join(' or ')} and --method one of ${methods.join(', ')}`,
  )
}
const [count, threads, steps] = [flags.batch, flags.threads, flags.steps].map(Number) as [number, number, number]

/** Milliseconds so far. */
function now(): number {
  if (!flags.cpu) return performance.now()
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

interface Row {
  name: string
  calls: number
  ms: number
  flops: number
  bytes: number
}
const rows = new Map<string, Row>()

type Numbers = Readonly<Record<string, number>>
type Given = Readonly<Record<string, { length: number } | undefined>>

/** Multiplications and additions of the kernels that are bound by them; 0 for those bound by memory. */
function flopsOf(kernel: KernelName, p: Numbers, bufs: Given): number {
  if (kernel === 'matmul') return 2 * p.batch! * p.m! * p.n! * p.k!
  const product = 2 * p.b! * p.h! * p.n! ** 2 * p.d!
  if (kernel === 'attention') return 2 * product
  // The scores again, dO V^T for dq and dk, and one product for each gradient asked for.
  if (kernel !== 'attentionGrad') return 0
  const [dq, dk, dv] = [bufs.dq, bufs.dk, bufs.dv].map((b) => (b ? 1 : 0)) as [number, number, number]
  return product * (1 + Math.max(dq, dk) + dq + dk + dv)
}

function labelOf(kernel: KernelName, p: Numbers, bufs: Given): string {
  if (!flags.shapes) return kernel
  if (kernel !== 'matmul') return `${kernel} ${Math.max(...Object.values(bufs).map((b) => b?.length ?? 0))}`
  const extras = ['bias', 'colScale', 'residual', 'pre'].filter((name) => bufs[name])
  if (p.act) extras.push('gelu')
  const operands = `${p.transA ? 'A^T' : 'A'} ${p.transB ? 'B^T' : 'B'}`
  return `matmul ${p.m} x ${p.k} x ${p.n} ${operands} ${extras.join(' ')}`.trim()
}

/** The same backend, whose dispatch keeps the time. */
function timed(inner: Backend): Backend {
  return {
    ...inner,
    dispatch(kernel, bufs, params) {
      const begun = now()
      inner.dispatch(kernel, bufs, params)
      const ms = now() - begun
      const [given, numbers] = [bufs as Given, params as Numbers]
      const name = labelOf(kernel, numbers, given)
      const row = rows.get(name) ?? { name, calls: 0, ms: 0, flops: 0, bytes: 0 }
      rows.set(name, row)
      row.calls++
      row.ms += ms
      row.flops += flopsOf(kernel, numbers, given)
      row.bytes += Object.values(given).reduce((sum, b) => sum + 4 * (b?.length ?? 0), 0)
    },
  }
}

let state = 1
/** Uniform around 0 with the given deviation, from xorshift32: fast, since values do not matter here. */
function noise(length: number, deviation: number): Float32Array {
  return Float32Array.from({ length }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state / 2147483648) * deviation * Math.sqrt(3)
  })
}

const inner = await createWasm({ threads })
const alone = inner.caps.threads === 1
const backend = alone ? timed(inner) : inner
const config = parseVitConfig(configs[flags.model])
const model = new Vit(backend, config, (shape) =>
  noise(
    shape.reduce((a, b) => a * b, 1),
    0.02,
  ),
)
const classes = Array.from({ length: 10 }, (_, i) => `class ${i}`)
prepare(model, classes, method, { seed: 1 })
const [height, width] = config.imageSize
const rng = new Rng(1)
const batch: Batch = {
  images: noise(count * 3 * height * width, 1),
  shape: [count, 3, height, width],
  labels: Int32Array.from({ length: count }, () => rng.below(classes.length)),
  files: [],
}
const train = {
  batches: steps + 1,
  async *epoch() {
    for (let i = 0; i <= steps; i++) yield batch
  },
}

const times: number[] = []
let before = 0
for await (const event of fit({
  model,
  task: multiclass(classes),
  train,
  epochs: 1,
  lr: 1e-4,
  checkpointing: flags.checkpointing,
})) {
  if (event.kind !== 'step') continue
  // The first step compiles and fills caches.
  if (event.step === 1) {
    rows.clear()
    backend.resetPeak()
  } else times.push(now() - before)
  before = now()
}
const peakBytes = inner.memory().peak
await inner.dispose()

const stepMs = times.reduce((a, b) => a + b, 0) / steps
const table = [...rows.values()]
  .map((r) => ({
    ...r,
    calls: r.calls / steps,
    ms: r.ms / steps,
    share: r.ms / steps / stepMs,
    flops: r.flops / steps,
    bytes: r.bytes / steps,
  }))
  .sort((a, b) => b.ms - a.ms)
const { relaxedSimd } = inner.caps
if (flags.json) {
  console.log(
    JSON.stringify({ ...flags, relaxedSimd, runtime: process.version, stepMs, times, peakBytes, kernels: table }),
  )
} else {
  console.log(
    `${flags.model}, ${method}, batch ${count}, ${inner.caps.threads} thread(s), ${relaxedSimd ? 'relaxed' : 'plain'} SIMD${flags.cpu ? ', processor time' : ''}: ` +
      `${stepMs.toFixed(1)} ms a step (mean of ${steps}: ${times.map((t) => t.toFixed(0)).join(', ')}), ` +
      `${(stepMs / count).toFixed(1)} ms an image, peak ${(peakBytes / 1e6).toFixed(0)} MB`,
  )
  if (!alone) console.log('Kernels are timed one by one with --threads 1 only.')
  const line = (cells: string[]) => console.log(cells.map((c, i) => (i === 0 ? c.padEnd(44) : c.padStart(10))).join(''))
  if (alone) line(['kernel', 'calls', 'ms', 'share', 'GFLOP/s', 'GB/s'])
  for (const { name, calls, ms, share, flops, bytes } of table) {
    const speed = flops > 0 ? (flops / ms / 1e6).toFixed(1) : ''
    line([
      name,
      String(calls),
      ms.toFixed(2),
      `${(share * 100).toFixed(1)} %`,
      speed,
      flops > 0 ? '' : (bytes / ms / 1e6).toFixed(1),
    ])
  }
  const rest = stepMs - table.reduce((sum, r) => sum + r.ms, 0)
  if (alone) line(['outside kernels', '', rest.toFixed(2), `${((rest / stepMs) * 100).toFixed(1)} %`, '', ''])
}
