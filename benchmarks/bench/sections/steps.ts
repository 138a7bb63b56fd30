// Section steps: forward passes and training steps of DINOv2-small's shape, batch 8 at 224 px, with weights in f32, in 8 and in
// 4 bits and vectors of 128 and 256 bits, beside onnxruntime and PyTorch. A LoRA step in f32 is in each of its parts: what all
// times are compared with.
import type { Spec } from '../contender.ts'
import { openContender } from '../contender.ts'
import { type Bench, interleave, type Lane, type Lap, lapOf, oldTorch, rowOf, torchLanes } from '../measure.ts'
import { RELATIVE } from '../pictures.ts'
import { ratioOf, ratiosOf, type Section, section, spreadOf } from '../result.ts'
import { dinov2Small } from '../shapes.ts'

const BATCH = 8
/** Cached linear steps in a run: one alone is too short to time. */
const SHORT = 20

export const stepTitles = {
  forward: 'forward',
  linear: 'linear step',
  lora: 'LoRA step',
  dora: 'DoRA step',
  full: 'full step',
} as const
type Method = keyof typeof stepTitles
const cachedTitle = 'linear step, frozen features cached'

/** Ways of vitune. */
const ways = {
  vitune: {},
  'vitune, 128-bit': { disable: ['wide'] },
  'vitune int8': { quantize: 'int8' },
  'vitune int8, 128-bit': { quantize: 'int8', disable: ['wide'] },
  'vitune NF4': { quantize: 'nf4' },
} as const satisfies Record<string, Partial<Spec>>
type Way = keyof typeof ways

// As rows are shown.
const order: string[] = [
  stepTitles.forward,
  cachedTitle,
  stepTitles.linear,
  stepTitles.lora,
  stepTitles.dora,
  stepTitles.full,
]

/** The lanes of each part. Parts follow one another, since all processes together would not fit into a small memory. */
function partsOf(bench: Bench): Lane[][] {
  const { threads } = bench
  const spec = (method: Method, more: Partial<Spec> = {}): Spec => ({
    work: 'vit',
    shape: dinov2Small,
    batch: BATCH,
    threads,
    method,
    ...more,
  })
  const onnx = (who: string, more: Partial<Spec>): Lane => ({
    kind: 'onnx',
    who,
    what: stepTitles.forward,
    spec: spec('forward', more),
  })
  const own = (method: Method, ...who: Way[]): Lane[] =>
    who.map((way) => ({ kind: 'vitune', who: way, what: stepTitles[method], spec: spec(method, ways[way]) }))
  const native = (method: Method) => torchLanes(bench, { what: stepTitles[method], spec: spec(method) })
  const cached: Lane = {
    kind: 'vitune',
    who: 'vitune',
    what: cachedTitle,
    spec: spec('linear', { cached: true, repeat: SHORT }),
  }
  const all = Object.keys(ways) as Way[]
  // Those that are compared side by side: what the machine does beside them meets both.
  return [
    [
      ...own('lora', 'vitune'),
      onnx('onnxruntime-node (native)', { native: true }),
      onnx('onnxruntime-node (native) int8', { native: true, quantize: 'int8' }),
      ...native('forward'),
      onnx('onnxruntime-web', {}),
      onnx('onnxruntime-web int8', { quantize: 'int8' }),
      ...own('forward', ...all),
      cached,
    ],
    [
      ...own('lora', ...all),
      ...own('dora', 'vitune', 'vitune int8', 'vitune NF4'),
      ...native('lora'),
      ...native('dora'),
    ],
    [
      ...own('lora', 'vitune'),
      ...own('linear', 'vitune', 'vitune int8', 'vitune NF4'),
      ...native('linear'),
      ...own('full', 'vitune', 'vitune, 128-bit'),
      ...native('full'),
    ],
  ]
}

/** What the int8 models of onnxruntime lose, as notes. */
async function checkIntegers(bench: Bench, to: Section): Promise<void> {
  if (bench.missing.onnx !== undefined || bench.signal.aborted) return
  for (const native of [false, true]) {
    const spec: Spec = { work: 'vit', shape: dinov2Small, batch: 1, threads: bench.threads, method: 'forward' }
    const who = native ? 'onnxruntime-node (native) int8' : 'onnxruntime-web int8'
    try {
      const made = await openContender('onnx', who, { ...spec, native, quantize: 'int8', check: true })
      to.notes.push(...made.notes)
      made.close()
    } catch (error) {
      to.notes.push((error as Error).message)
    }
  }
}

/** Rows of the page's picture: each of vitune's times by that of the LoRA step of the same rounds. */
function relativeRows(laps: readonly Lap[], to: Section): void {
  const one = lapOf(laps, 'vitune', stepTitles.lora)
  if (!one) return
  for (const lap of laps) {
    if (lap.kind !== 'vitune' || to.rows.some((row) => row.unit === RELATIVE && isSame(row, lap))) continue
    const { what, who } = lap
    to.rows.push({ what, who, unit: RELATIVE, more: false, spread: ratiosOf(lap.ms, one.ms) })
  }
}
const isSame = (a: { what: string; who: string }, b: { what: string; who: string }) =>
  a.what === b.what && a.who === b.who

/** Runs the section. */
export async function steps(bench: Bench): Promise<Section> {
  const { threads } = bench
  const to = section('steps', `${dinov2Small.name}, ${BATCH} images of 224 px, ${threads} thread(s), ms an image`)
  await checkIntegers(bench, to)
  const laps: Lap[] = []
  for (const lanes of partsOf(bench)) {
    if (bench.signal.aborted) break
    const some = await interleave(bench, to, lanes, { rounds: bench.quick ? 4 : 15, warm: 1 })
    relativeRows(some, to)
    // Of the LoRA steps that are in every part, those of the part of LoRA steps are shown.
    for (const lap of some) {
      const known = laps.findIndex((other) => isSame(other, lap))
      if (known < 0) laps.push(lap)
      else if (lanes.some(({ what }) => what === stepTitles.dora)) laps[known] = lap
    }
    check(bench, to, some)
  }
  laps.sort((a, b) => order.indexOf(a.what) - order.indexOf(b.what))
  for (const lap of laps) to.rows.push(rowOf(lap, 'ms', false, (ms) => ms / BATCH))
  for (const { what, who, last } of laps) {
    to.rows.push({ what, who, unit: 'MB at the peak', more: false, spread: spreadOf([last.rss / 1e6]) })
  }
  return to
}

/** The targets of one part: both sides are of the same rounds. */
function check(bench: Bench, to: Section, laps: readonly Lap[]): void {
  const compare = (what: string, a: string, who: string, b: string, limit: number) => {
    const [one, other] = [lapOf(laps, 'vitune', a), lapOf(laps, who, b)]
    if (!one || !other) return
    to.checks.push({ what, value: ratioOf(one.ms, other.ms), limit, atMost: true, unit: 'x' })
  }
  const { forward, lora, dora, full } = stepTitles
  const torch = oldTorch(bench)
  compare("forward, of onnxruntime-web's time", forward, 'onnxruntime-web', forward, 0.5)
  compare("forward, of PyTorch 1.13's time", forward, torch, forward, 0.9)
  compare("LoRA step, of PyTorch 1.13's time", lora, torch, lora, 0.9)
  compare('LoRA step, of own forward', lora, 'vitune', forward, 2.1)
  compare('DoRA step, of own LoRA step', dora, 'vitune', lora, 1.08)
  compare("full step, of PyTorch 1.13's time", full, torch, full, 0.95)
  compare('linear step on cached features, of own forward', cachedTitle, 'vitune', forward, 0.02)
}
