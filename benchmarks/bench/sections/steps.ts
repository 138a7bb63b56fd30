// Section steps: forward passes and training steps of DINOv2-small's shape, batch 8 at 224 px, beside onnxruntime and PyTorch.
import type { Spec } from '../contender.ts'
import { type Bench, interleave, type Lane, lapOf, rowOf } from '../measure.ts'
import { ratioOf, type Section, section } from '../result.ts'
import { dinov2Small } from '../shapes.ts'

const BATCH = 8
/** Cached linear steps in a run: one alone is too short to time. */
const SHORT = 20

const titles = {
  forward: 'forward',
  linear: 'linear step',
  lora: 'LoRA step',
  dora: 'DoRA step',
  full: 'full step',
} as const
const cachedTitle = 'linear step, frozen features cached'
const torch = 'PyTorch (native)'

// As rows are shown.
const order: string[] = [titles.forward, cachedTitle, titles.linear, titles.lora, titles.dora, titles.full]
const whos = ['vitune', 'onnxruntime-web', 'onnxruntime-node (native)', torch]

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
  type Method = keyof typeof titles
  const lane = (kind: Lane['kind'], who: string, method: Method, more?: Partial<Spec>): Lane => ({
    kind,
    who,
    what: titles[method],
    spec: spec(method, more),
  })
  const own = (method: Method) => lane('vitune', 'vitune', method)
  const native = (method: Method) => lane('pytorch', torch, method)
  // Many short rounds, and those that are compared side by side: what the machine does beside them meets both.
  const lanes: Lane[] = [
    lane('onnx', 'onnxruntime-node (native)', 'forward', { native: true }),
    native('forward'),
    lane('onnx', 'onnxruntime-web', 'forward'),
    own('forward'),
    own('lora'),
    own('dora'),
    native('lora'),
    native('dora'),
    native('full'),
    own('full'),
    own('linear'),
    native('linear'),
    { ...lane('vitune', 'vitune', 'linear', { cached: true, repeat: SHORT }), what: cachedTitle },
  ]
  const laps = await interleave(bench, to, lanes, { rounds: bench.quick ? 4 : 15, warm: 1 })
  laps.sort((a, b) => order.indexOf(a.what) - order.indexOf(b.what) || whos.indexOf(a.who) - whos.indexOf(b.who))
  for (const lap of laps) to.rows.push(rowOf(lap, 'ms', false, (ms) => ms / BATCH))

  const ours = (what: string) => lapOf(laps, 'vitune', what)
  const check = (what: string, a: string, who: string, b: string, limit: number) => {
    const [one, other] = [ours(a), lapOf(laps, who, b)]
    if (!one || !other) return
    to.checks.push({ what, value: ratioOf(one.ms, other.ms), limit, atMost: true, unit: 'x' })
  }
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
