// Section steps: forward passes and training steps of DINOv2-small's shape, batch 8 at 224 px, beside onnxruntime and PyTorch.
import type { Spec } from '../contender.ts'
import { type Bench, interleave, type Lane, lapOf, rowOf } from '../measure.ts'
import { ratioOf, type Section, section } from '../result.ts'
import { dinov2Small } from '../shapes.ts'

const BATCH = 8
/** Cached linear steps that count as one run: one alone is too short to time. */
const REPEAT = 20

const titles = {
  forward: 'forward',
  linear: 'linear step',
  lora: 'LoRA step',
  dora: 'DoRA step',
  full: 'full step',
} as const
const cachedTitle = 'linear step, frozen features cached'

/** Runs the section. */
export async function steps(bench: Bench): Promise<Section> {
  const { threads } = bench
  const to = section('steps', `${dinov2Small.name}, ${BATCH} images of 224 px, ${threads} thread(s), ms an image`)
  const spec = (method: NonNullable<Spec['method']>, more: Partial<Spec> = {}): Spec => ({
    work: 'vit',
    shape: dinov2Small,
    batch: BATCH,
    threads,
    method,
    ...more,
  })
  const methods = ['forward', 'linear', 'lora', 'dora', 'full'] as const
  const lane = (kind: Lane['kind'], who: string, method: (typeof methods)[number], more?: Partial<Spec>): Lane => ({
    kind,
    who,
    what: titles[method],
    spec: spec(method, more),
  })
  const lanes: Lane[] = [
    lane('vitune', 'vitune', 'forward'),
    lane('onnx', 'onnxruntime-web', 'forward'),
    lane('onnx', 'onnxruntime-node (native)', 'forward', { native: true }),
    lane('pytorch', 'PyTorch (native)', 'forward'),
    { ...lane('vitune', 'vitune', 'linear', { cached: true, repeat: REPEAT }), what: cachedTitle },
    ...methods
      .slice(1)
      .flatMap((method) => [lane('vitune', 'vitune', method), lane('pytorch', 'PyTorch (native)', method)]),
  ]
  const laps = await interleave(bench, to, lanes, { rounds: bench.quick ? 4 : 7, warm: 1 })
  for (const lap of laps) to.rows.push(rowOf(lap, 'ms', false, (ms) => ms / BATCH / (lap.spec.repeat ?? 1)))

  const ours = (what: string) => lapOf(laps, 'vitune', what)
  const check = (what: string, a: string, who: string, b: string, limit: number) => {
    const [one, other] = [ours(a), lapOf(laps, who, b)]
    if (!one || !other) return
    const value = ratioOf(one.ms, other.ms) / (one.spec.repeat ?? 1)
    to.checks.push({ what, value, limit, atMost: true, unit: 'x' })
  }
  const torch = 'PyTorch (native)'
  const { forward, lora, dora, full } = titles
  check("forward, of onnxruntime-web's time", forward, 'onnxruntime-web', forward, 0.5)
  check("forward, of PyTorch's time", forward, torch, forward, 0.9)
  check("LoRA step, of PyTorch's time", lora, torch, lora, 0.9)
  check('LoRA step, of own forward', lora, 'vitune', forward, 2.1)
  check('DoRA step, of own LoRA step', dora, 'vitune', lora, 1.08)
  check("full step, of PyTorch's time", full, torch, full, 0.95)
  check('linear step on cached features, of own forward', cachedTitle, 'vitune', forward, 0.02)
  return to
}
