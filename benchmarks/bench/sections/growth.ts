// Section growth: whether time grows with the batch and nothing else, and whether memory stays as it is over many steps.
import type { Run, Spec } from '../contender.ts'
import { openContender } from '../contender.ts'
import { type Bench, interleave, type Lane, lapOf, rowOf } from '../measure.ts'
import { ratioOf, type Section, section, spreadOf } from '../result.ts'
import { dinov2Small, smallVit } from '../shapes.ts'

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

/** Runs the section. */
export async function growth(bench: Bench): Promise<Section> {
  const to = section('growth', `Growth: ${dinov2Small.name} by batch (ms an image), small ViT over many steps`)
  await byBatch(bench, to)
  if (!bench.signal.aborted) await bySteps(bench, to)
  return to
}
