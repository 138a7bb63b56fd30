// Section growth: whether time grows with the batch and nothing else, whether memory stays as it is over many steps, and whether
// both grow with model and image as the operations and bytes counted from the shapes say. Where they do not, kernels by
// themselves show which.
import type { Run, Spec } from '../contender.ts'
import { openContender } from '../contender.ts'
import type { Call } from '../counting-backend.ts'
import { kernelTimes } from '../kernel-times.ts'
import { type Bench, interleave, type Lane, type Lap, lapOf, rowOf } from '../measure.ts'
import { loraStepBytes, loraStepMacs } from '../operations.ts'
import { ratioOf, ratiosOf, type Section, section, spreadOf } from '../result.ts'
import { dinov2Small, smallVit, type VitShape, vitBase, vitLarge } from '../shapes.ts'
import { digits } from '../table.ts'

const batches = [4, 8, 16, 32]
const what = (batch: number) => `LoRA step, batch ${batch}`

async function byBatch(bench: Bench, to: Section): Promise<void> {
  const spec: Spec = { work: 'vit', shape: dinov2Small, threads: bench.threads, method: 'lora' }
  const most = batches.at(-1)!
  // As many images a run, so that what the machine does beside it falls on all alike.
  const lanes = batches.map((batch): Lane => {
    return { kind: 'vitune', who: 'vitune', what: what(batch), spec: { ...spec, batch, repeat: most / batch } }
  })
  const laps = await interleave(bench, to, lanes, { rounds: bench.quick ? 3 : 7, warm: 1 })
  for (const lap of laps) to.rows.push(rowOf(lap, 'ms', false, (ms) => ms / lap.spec.batch!))
  const smallest = lapOf(laps, 'vitune', what(batches[0]!))
  if (!smallest) return
  for (const batch of batches.slice(1)) {
    const lap = lapOf(laps, 'vitune', what(batch))
    if (!lap) continue
    const ratio = (ratioOf(lap.ms, smallest.ms) * batches[0]!) / batch
    const title = `time of an image at batch ${batch}, away from that at batch ${batches[0]}`
    to.checks.push({ what: title, value: 100 * Math.abs(ratio - 1), limit: 5, atMost: true, unit: '%' })
  }
}

/** Tensor memory and the process's, after a tenth of the steps and after all. */
async function bySteps(bench: Bench, to: Section): Promise<void> {
  const steps = bench.quick ? 200 : 1000
  const first = steps / 10
  const spec: Spec = { work: 'vit', shape: smallVit, batch: 4, threads: bench.threads, method: 'lora' }
  const contender = await openContender('vitune', 'vitune', spec)
  try {
    let early: Run | undefined
    let last: Run | undefined
    for (let step = 1; step <= steps && !bench.signal.aborted; step++) {
      bench.progress(`growth: step ${step} of ${steps}`)
      last = await contender.run()
      if (step === first) early = last
    }
    if (!early || !last || bench.signal.aborted) return
    const held = (run: Run) => run.memory!.used + run.memory!.pooled
    for (const [name, of] of [
      ['memory held for tensors', held],
      ['highest memory of the process', (run: Run) => run.rss],
    ] as const) {
      for (const [at, run] of [
        [first, early],
        [steps, last],
      ] as const) {
        const spread = spreadOf([of(run) / 1e6])
        to.rows.push({ what: `${name} after ${at} steps, small ViT`, who: 'vitune', unit: 'MB', more: false, spread })
      }
    }
    const title = `tensor memory after ${steps} steps, of that after ${first}`
    to.checks.push({ what: title, value: held(last) / held(early), limit: 1, atMost: true, unit: 'x' })
    // Node's own heap breathes; a leak of 1 kB of each of a step's tensors would show.
    const process = `process memory after ${steps} steps, of that after ${first}`
    to.checks.push({ what: process, value: last.rss / early.rss, limit: 1.1, atMost: true, unit: 'x' })
  } finally {
    contender.close()
  }
}

/** By what they are called here; the first is what all others are compared with. */
const models: readonly VitShape[] = [224, 448].flatMap((image) =>
  [
    ['ViT-S', dinov2Small],
    ['ViT-B', vitBase],
    ['ViT-L', vitLarge],
  ].map(([name, shape]) => ({ ...(shape as VitShape), image, name: `${name} at ${image} px` })),
)
const MOST = 15
const stepOf = (shape: VitShape) => `LoRA step, ${shape.name}`
/** Steps of about the same length a run: the smallest alone is short. */
const repeatOf = (shape: VitShape) => Math.max(1, Math.round(loraStepMacs(vitBase) / loraStepMacs(shape)))
const signed = (value: number) => `${value >= 0 ? '+' : '-'}${Math.abs(100 * value).toFixed(1)} %`

/**
 * Products by what they do for each element of their result: gelu and its slope, or eight multiply-adds as LoRA's have, cost as much
 * whatever the width of the model is.
 */
function kindOf({ kernel, params: p }: Call): string {
  if (kernel !== 'matmul') return kernel
  if (p.act) return 'matmul with gelu'
  return Math.min(p.m!, p.n!, p.k!) <= 8 ? 'matmul of rank 8' : kernel
}

/** Milliseconds by kernel of one step on one thread, for 10^9 multiply-adds of the whole step. */
async function perOperation(bench: Bench, shape: VitShape): Promise<Map<string, number>> {
  const { rows, times } = await kernelTimes(bench, 'growth', {
    shape,
    method: 'lora',
    batch: 1,
    steps: 1,
    nameOf: kindOf,
  })
  const billions = loraStepMacs(shape) / 1e9
  const made = new Map(rows.map(({ name, ms }) => [name, ms / billions]))
  const all = times[0]! / billions
  made.set('outside kernels', all - [...made.values()].reduce((a, b) => a + b, 0))
  return made
}

/** Which kernels make a shape slower or faster by operation than the first one. */
async function why(bench: Bench, to: Section, shapes: readonly VitShape[]): Promise<void> {
  const base = await perOperation(bench, models[0]!)
  const whole = [...base.values()].reduce((a, b) => a + b, 0)
  for (const shape of shapes) {
    if (bench.signal.aborted) return
    const here = await perOperation(bench, shape)
    const names = [...new Set([...base.keys(), ...here.keys()])]
    const difference = (name: string) => ((here.get(name) ?? 0) - (base.get(name) ?? 0)) / whole
    names.sort((a, b) => Math.abs(difference(b)) - Math.abs(difference(a)))
    const cells = (name: string, a: number, b: number, d: number) => [name, a.toFixed(2), b.toFixed(2), signed(d)]
    const sum = names.reduce((total, name) => total + difference(name), 0)
    to.tables.push({
      title: `Why ${shape.name} is off: milliseconds of one thread for 10^9 multiply-adds of a step, by kernel`,
      head: ['kernel', models[0]!.name, shape.name, 'of all'],
      rows: [
        ...names.map((name) => cells(name, base.get(name) ?? 0, here.get(name) ?? 0, difference(name))),
        cells('all', whole, whole * (1 + sum), sum),
      ],
    })
  }
}

/** Time and memory of larger models and images by what their shapes say. */
async function bySize(bench: Bench, to: Section): Promise<void> {
  const lanes = models.map((shape): Lane => {
    const spec: Spec = { work: 'vit', shape, batch: 1, threads: bench.threads, method: 'lora', repeat: repeatOf(shape) }
    // A step of the largest takes half a minute.
    return { kind: 'vitune', who: 'vitune', what: stepOf(shape), spec, atMost: loraStepMacs(shape) > 2e11 ? 3 : 7 }
  })
  const laps = await interleave(bench, to, lanes, { rounds: bench.quick ? 2 : 7, warm: 1 })
  const smallest = lapOf(laps, 'vitune', stepOf(models[0]!))
  if (!smallest) return
  const memory = (lap: Lap) => lap.last.memory!.peak
  const [first] = models as [VitShape]
  const off: VitShape[] = []
  const rows: string[][] = []
  for (const shape of models) {
    const lap = lapOf(laps, 'vitune', stepOf(shape))
    if (!lap) continue
    to.rows.push(rowOf(lap, 'ms', false, (ms) => ms))
    const [macs, bytes] = [loraStepMacs(shape), loraStepBytes(shape)]
    const time = ratiosOf(lap.ms, smallest.ms).median / (macs / loraStepMacs(first)) - 1
    const space = memory(lap) / memory(smallest) / (bytes / loraStepBytes(first)) - 1
    const ms = spreadOf(lap.ms).median
    rows.push([
      shape.name,
      digits(ms),
      digits(macs / 1e9),
      digits(macs / ms / 1e6),
      signed(time),
      digits(memory(lap) / 1e6),
      digits(bytes / 1e6),
      signed(space),
      digits(lap.last.rss / 1e6),
    ])
    if (shape === first) continue
    if (Math.abs(time) > MOST / 100) off.push(shape)
    for (const [what, value] of [
      ['time', time],
      ['memory', space],
    ] as const) {
      const title = `${what} of ${shape.name}, away from what its shape says`
      to.checks.push({ what: title, value: 100 * Math.abs(value), limit: MOST, atMost: true, unit: '%' })
    }
  }
  to.tables.push({
    title: `LoRA step with one image, against multiply-adds and bytes computed from the shape, ${first.name} being right`,
    head: [
      '',
      'ms',
      '10^9 mult.-adds',
      '10^9 a second',
      'time',
      'tensors, MB',
      'computed, MB',
      'memory',
      'process, MB',
    ],
    rows,
  })
  if (off.length > 0) await why(bench, to, off)
}

/** Runs the section. */
export async function growth(bench: Bench): Promise<Section> {
  const to = section(
    'growth',
    `Growth: ${dinov2Small.name} by batch (ms an image), small ViT over many steps, larger models`,
  )
  await byBatch(bench, to)
  if (!bench.signal.aborted && bench.only === undefined) await bySteps(bench, to)
  if (!bench.signal.aborted) await bySize(bench, to)
  return to
}
