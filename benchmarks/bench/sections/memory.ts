// Section memory: the highest memory of a whole process that takes LoRA steps, with and without checkpointing and on packed
// weights, beside PyTorch.
import type { Spec } from '../contender.ts'
import { type Bench, interleave, type Lane, lapOf, oldTorch, rowOf, torchLanes } from '../measure.ts'
import { ratioOf, type Section, section, spreadOf } from '../result.ts'
import { dinov2Small } from '../shapes.ts'

const BATCH = 8

/** Runs the section. */
export async function memory(bench: Bench): Promise<Section> {
  const to = section('memory', `Peak memory of the process, LoRA steps of ${dinov2Small.name}, batch ${BATCH}`)
  const spec: Spec = { work: 'vit', shape: dinov2Small, batch: BATCH, threads: bench.threads, method: 'lora' }
  const what = 'LoRA step'
  // Many short rounds: the two that are compared by time follow each other closely.
  const lanes: Lane[] = [
    { kind: 'vitune', who: 'vitune', what, spec },
    { kind: 'vitune', who: 'vitune, checkpointing', what, spec: { ...spec, checkpointing: true } },
    { kind: 'vitune', who: 'vitune NF4', what, spec: { ...spec, quantize: 'nf4' }, atMost: 5 },
    { kind: 'vitune', who: 'vitune int8', what, spec: { ...spec, quantize: 'int8' }, atMost: 5 },
    ...torchLanes(bench, { what, spec, atMost: 5 }),
  ]
  const laps = await interleave(bench, to, lanes, { rounds: bench.quick ? 5 : 15, warm: 1 })
  for (const lap of laps) {
    const spread = spreadOf([lap.last.rss / 1e6])
    to.rows.push({ what: 'highest memory of the process', who: lap.who, unit: 'MB', more: false, spread })
    if (lap.last.memory) {
      const tensors = spreadOf([lap.last.memory.peak / 1e6])
      to.rows.push({ what: 'highest memory of tensors', who: lap.who, unit: 'MB', more: false, spread: tensors })
    }
  }
  for (const lap of laps) to.rows.push(rowOf(lap, 'ms', false, (ms) => ms / BATCH))
  const [ours, checkpointed, torch] = ['vitune', 'vitune, checkpointing', oldTorch(bench)].map((who) =>
    lapOf(laps, who, what),
  )
  const share = (what: string, value: number, limit: number) =>
    to.checks.push({ what, value, limit, atMost: true, unit: 'x' })
  if (ours && torch) share("LoRA step's peak, of PyTorch 1.13's", ours.last.rss / torch.last.rss, 0.35)
  if (checkpointed && torch) {
    share("LoRA step's peak with checkpointing, of PyTorch 1.13's", checkpointed.last.rss / torch.last.rss, 0.15)
  }
  if (ours && checkpointed) {
    share("checkpointing, of the LoRA step's time without", ratioOf(checkpointed.ms, ours.ms), 1.35)
  }
  return to
}
