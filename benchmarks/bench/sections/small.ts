// Section small: the LoRA step of a small ViT at 32 px, batch 64, beside the peers that can train in JavaScript, and PyTorch.
import type { Spec } from '../contender.ts'
import { type Bench, interleave, type Lane, lapOf, oldTorch, rowOf, torchLanes } from '../measure.ts'
import { ratioOf, type Section, section } from '../result.ts'
import { smallVit } from '../shapes.ts'

const BATCH = 64
const WHAT = 'LoRA step'

/** Runs the section. */
export async function small(bench: Bench): Promise<Section> {
  const to = section('small', `Small ViT (32 px, patch 4, dim 192, depth 6), batch ${BATCH}, ms a step`)
  const { threads } = bench
  const spec: Spec = { work: 'vit', shape: smallVit, batch: BATCH, threads, method: 'lora' }
  const slow = bench.quick ? 1 : 3
  const lane = (kind: Lane['kind'], who: string, more: Partial<Lane> = {}): Lane => ({
    kind,
    who,
    what: WHAT,
    spec,
    ...more,
  })
  const lanes = [
    lane('vitune', `vitune wasm, ${threads} thread(s)`),
    lane('tfjs', 'tfjs-wasm, 1 thread', { atMost: slow }),
    lane('jax', 'jax-js wasm, 1 thread', { atMost: slow }),
    ...torchLanes(bench, { what: WHAT, spec }),
  ]
  const laps = await interleave(bench, to, lanes, { rounds: bench.quick ? 5 : 15, warm: 2 })
  for (const lap of laps) to.rows.push(rowOf(lap, 'ms', false, (ms) => ms))
  const ours = lapOf(laps, lanes[0]!.who, WHAT)
  for (const [who, name, limit] of [
    ['tfjs-wasm, 1 thread', 'tfjs-wasm', 0.15],
    ['jax-js wasm, 1 thread', 'jax-js wasm', 0.6],
    [oldTorch(bench), 'PyTorch 1.13', 1],
  ] as const) {
    const peer = lapOf(laps, who, WHAT)
    if (!ours || !peer) continue
    const what = `small ViT's LoRA step, of ${name}'s time`
    to.checks.push({ what, value: ratioOf(ours.ms, peer.ms), limit, atMost: true, unit: 'x' })
  }
  return to
}
