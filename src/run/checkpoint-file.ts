// The training checkpoint: one safetensors file with every trained weight and moment; in its metadata the counters, the
// run that it belongs to, and a checksum of all this. One file, written whole: a run is never left half saved.

import { platform } from '#platform'
import { currentPath } from '../adapters/registry.ts'
import type { Backend } from '../backend/backend.ts'
import { isRecord, parseJson } from '../io/json.ts'
import { openSafetensors, type SafetensorsFile } from '../io/safetensors.ts'
import { type TensorToWrite, writeSafetensors } from '../io/safetensors-write.ts'
import { InputError } from '../platform/errors.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { FitState } from '../train/fit-options.ts'

/** What a checkpoint says beside the state. */
export interface CheckpointNotes {
  /** The `id` of the run that it belongs to. */
  run?: string
  /** Bytes of metrics.jsonl that were written before it. */
  metrics?: number
  /** Images that could not be read so far, with reasons. */
  skipped?: readonly (readonly [file: string, reason: string])[]
}

/** SHA-256 of what a checkpoint says and holds; undefined where the engine has none. */
async function checksum(
  { sha256: _, ...said }: Readonly<Record<string, string>>,
  digests: [string, unknown][],
): Promise<string | undefined> {
  const byName = <T>(list: [string, T][]) => list.sort(([a], [b]) => (a < b ? -1 : 1))
  const all = [byName(Object.entries(said)), byName(digests)]
  return platform.digest(new TextEncoder().encode(JSON.stringify(all)))
}

const digestOf = async (name: string, shape: readonly number[], data: Float32Array): Promise<[string, unknown]> => [
  name,
  [...shape, await platform.digest(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))],
]

/** Writes the state to a file, whole or not at all. */
export async function writeCheckpoint(path: string, state: FitState, notes: CheckpointNotes = {}): Promise<void> {
  const tensors: TensorToWrite[] = []
  const digests: [string, unknown][] = []
  for (const [name, t] of state.tensors) {
    const data = (await t.data()) as Float32Array
    tensors.push({ name, shape: t.shape, data })
    digests.push(await digestOf(name, t.shape, data))
  }
  const { run, metrics, skipped = [] } = notes
  const said = {
    format: 'pt',
    state: JSON.stringify(state.numbers),
    ...(run === undefined ? {} : { run }),
    ...(metrics === undefined ? {} : { metrics: String(metrics) }),
    ...(skipped.length === 0 ? {} : { skipped: JSON.stringify(skipped) }),
  }
  const sum = await checksum(said, digests)
  await writeSafetensors(path, tensors, { ...said, ...(sum === undefined ? {} : { sha256: sum }) })
}

/** What to do about a checkpoint that cannot be used. */
const remedy = 'restore it from a copy, or remove it to begin the run again'

async function openCheckpointFile(path: string): Promise<SafetensorsFile> {
  try {
    return await openSafetensors(path)
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    const why = error.message.startsWith(`${path}: `) ? error.message.slice(path.length + 2) : error.message
    throw new InputError(`${path}: damaged, ${why.slice(0, 100)}; ${remedy}`)
  }
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0
const areNumbers = (values: readonly unknown[]): boolean => values.every((value) => Number.isFinite(value))

/** The counters that a checkpoint's metadata hold as text; throws an InputError on any other text. */
export function parseNumbers(text: string | undefined, path: string): FitState['numbers'] {
  if (text === undefined) {
    throw new InputError(`${path}: must be a training checkpoint that vitune wrote, got no state in it`)
  }
  const state = parseJson(text, `${path} state`)
  const { plateau = {}, bestMetrics = {}, sums = [], counts = [], ...numbers } = isRecord(state) ? state : {}
  const whole = [numbers.step, numbers.epoch, numbers.batch ?? 0, numbers.optimizerSteps ?? 0]
  const inside = [plateau, bestMetrics].every((table) => isRecord(table) && areNumbers(Object.values(table)))
  const lists = [sums, counts].every((list) => Array.isArray(list) && areNumbers(list))
  if (!whole.every(isCount) || !areNumbers(Object.values(numbers)) || !inside || !lists) {
    throw new InputError(`${path}: must have counters for its state, got ${text.slice(0, 60)}; ${remedy}`)
  }
  return current(state as FitState['numbers'] & Before)
}

/** What earlier versions kept of the running epoch and of the best one: sums by image, and the accuracy. */
interface Before {
  lossSum?: number
  images?: number
  accuracySum?: number
}

/** The counters as they are kept now. */
function current({ lossSum, images, accuracySum, ...numbers }: FitState['numbers'] & Before): FitState['numbers'] {
  if (lossSum === undefined || images === undefined || accuracySum === undefined) return numbers
  const begun = images > 0
  return {
    ...numbers,
    bestMetrics: numbers.bestEpoch > 0 && numbers.best >= 0 ? { accuracy: numbers.best, loss: numbers.bestLoss } : {},
    sums: begun ? [lossSum] : [],
    counts: begun ? [images] : [],
    right: accuracySum,
    of: images,
  }
}

/**
 * The state with its notes, its tensors new on the backend; the caller disposes them. Throws InputError on a file that is
 * none, is damaged, or where `run` is given belongs to another run.
 */
export async function readCheckpoint(
  backend: Backend,
  path: string,
  run?: string,
): Promise<FitState & { notes: CheckpointNotes }> {
  const file = await openCheckpointFile(path)
  const { metadata } = file
  const numbers = parseNumbers(metadata.state, path)
  if (run !== undefined && metadata.run !== run) {
    const other = metadata.run === undefined ? 'one of no name' : metadata.run.slice(0, 8)
    throw new InputError(`${path}: belongs to another run, ${other} where run.json says ${run.slice(0, 8)}; ${remedy}`)
  }
  const tensors: [string, Tensor][] = []
  const digests: [string, unknown][] = []
  try {
    for (const name of file.names()) {
      const { shape } = file.info(name)
      const data = await file.read(name)
      digests.push(await digestOf(name, shape, data))
      tensors.push([currentPath(name), tensor(backend, data, shape)])
    }
    // Those of earlier versions have none.
    const sum = await checksum(metadata, digests)
    if ((metadata.sha256 !== undefined || run !== undefined) && sum !== undefined && metadata.sha256 !== sum) {
      throw new InputError(`${path}: damaged, its bytes are not those that were written (SHA-256); ${remedy}`)
    }
  } catch (error) {
    for (const [, t] of tensors) t.dispose()
    throw error
  }
  const { metrics, skipped } = metadata
  const notes: CheckpointNotes = {
    ...(metadata.run === undefined ? {} : { run: metadata.run }),
    ...(metrics === undefined ? {} : { metrics: Number(metrics) }),
    ...(skipped === undefined ? {} : { skipped: JSON.parse(skipped) }),
  }
  return { numbers, tensors, notes }
}
