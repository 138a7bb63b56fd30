// Refuses a run that would not fit into memory, before it starts, with what would.
import { platform } from '#platform'
import { methodOf } from '../adapters/methods.ts'
import type { Caps } from '../backend/backend.ts'
import { InputError } from '../platform/errors.ts'
import { defaults } from '../settings/schema.ts'
import { type EstimateOptions, estimate, type MemoryEstimate } from './estimate.ts'

/** On WebGPU a buffer is up to a fifth larger than what it holds. */
const ROUNDING = { webgpu: 1.2, wasm: 1, reference: 1 } as const
type DeviceName = keyof typeof ROUNDING

const size = (bytes: number) =>
  bytes < 2 ** 30 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`

/** Most bytes of a run on a device: its own limit, or the machine's, where one is known. */
export function memoryLimit(caps: Caps): number {
  return Math.min(caps.maxBytes ?? Number.POSITIVE_INFINITY, platform.memoryLimit() ?? Number.POSITIVE_INFINITY)
}

/** Whether a run of this size fits. */
export function fitsIn(need: MemoryEstimate, device: DeviceName, caps: Caps): boolean {
  const buffers = need.largestBuffer <= (caps.maxBufferBytes ?? Number.POSITIVE_INFINITY)
  return buffers && need.reserved * ROUNDING[device] <= memoryLimit(caps)
}

/** Changes that need less, in the order of what to try, each with how to ask for it. */
function* remedies(o: EstimateOptions): Generator<[string, EstimateOptions]> {
  for (let batchSize = Math.floor(o.batchSize / 2); batchSize >= 1; batchSize = Math.floor(batchSize / 2)) {
    yield ['a batch size of', { ...o, batchSize }]
  }
  for (let images = Math.floor(o.batchSize / 2); images >= 1; images = Math.floor(images / 2)) {
    if (images < (o.microBatch ?? Number.POSITIVE_INFINITY)) yield ['a micro-batch of', { ...o, microBatch: images }]
  }
  if (!o.checkpointing) yield ['checkpointing', { ...o, checkpointing: true }]
  if (o.teacher) yield ['no distillation', { ...o, teacher: undefined }]
  const { title, lighter } = methodOf(o.method ?? defaults.peft)
  if (lighter) {
    yield [`${methodOf(lighter).title} instead of ${title.toLowerCase()} fine-tuning`, { ...o, method: lighter }]
  }
  const { imageSize, patchSize } = o.config
  const smaller = (side: number) => Math.max(1, Math.floor((side * 2) / 3 / patchSize)) * patchSize
  const input: [number, number] = [smaller(imageSize[0]), smaller(imageSize[1])]
  if (input[0] < imageSize[0]) yield ['an input size of', { ...o, config: { ...o.config, imageSize: input } }]
}

/** The largest batch that fits of this one and its halves; 1 where none does. */
export async function largestBatch(wanted: EstimateOptions, { name, caps }: { name: DeviceName; caps: Caps }) {
  const options = { ...wanted, device: name, threads: caps.threads }
  let { batchSize } = options
  while (batchSize > 1 && !fitsIn(await estimate({ ...options, batchSize }), name, caps)) batchSize >>= 1
  return batchSize
}

/**
 * What the run needs; throws InputError where that is more memory than there is, naming each single change with which it would fit.
 * Features that are kept do not count: fewer are kept where there is less room.
 */
export async function checkFits(
  wanted: EstimateOptions,
  backend: { name: DeviceName; caps: Caps },
): Promise<MemoryEstimate> {
  const { name, caps } = backend
  const options = { ...wanted, device: name, threads: caps.threads }
  const need = await estimate(options)
  if (fitsIn(need, name, caps)) return need
  const fitting = new Map<string, string>()
  for (const [what, changed] of remedies(options)) {
    if (fitting.has(what)) continue
    const less = await estimate(changed)
    if (!fitsIn(less, name, caps)) continue
    const number = what.includes('micro')
      ? ` ${changed.microBatch}`
      : what.includes('batch')
        ? ` ${changed.batchSize}`
        : ''
    const side = what.includes('input') ? ` ${changed.config.imageSize.join(' x ')}` : ''
    fitting.set(what, `${what}${number}${side} (${size(less.reserved)})`)
  }
  const help =
    fitting.size > 0
      ? `it would fit with ${[...fitting.values()].join(', or ')}`
      : 'no single change is enough: combine a smaller micro-batch, checkpointing, LoRA and a smaller input size'
  const tooLarge = need.largestBuffer > (caps.maxBufferBytes ?? Number.POSITIVE_INFINITY)
  const got = tooLarge
    ? `one buffer of ${size(need.largestBuffer)} where ${size(caps.maxBufferBytes!)} is the most`
    : `about ${size(need.reserved * ROUNDING[name])} where there are ${size(memoryLimit(caps))}`
  throw new InputError(`memory: the run must fit on ${name}, needs ${got}; ${help}`)
}
