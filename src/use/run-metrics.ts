// metrics.jsonl of a run as others read it: what its steps and epochs measured, in order. Lines that are none are counted.
import { isRecord, parseJson } from '../io/json.ts'
import { localFiles } from '../io/local-files.ts'

/** The loss that a step optimised, and its rate. */
export interface StepLine {
  readonly step: number
  readonly epoch: number
  readonly loss: number
  readonly lr?: number
}

/** What an epoch measured: on its training data, and on the validation data where there are any. */
export interface EpochLine {
  readonly step: number
  readonly epoch: number
  readonly trainLoss: number
  readonly trainAccuracy: number
  readonly valLoss?: number
  /** By name, of the validation data. */
  readonly metrics: Readonly<Record<string, number>>
  readonly lr?: number
}

export interface RunMetrics {
  /** All of them, in the order in which they were written. */
  readonly lines: readonly (StepLine | EpochLine)[]
  readonly steps: readonly StepLine[]
  readonly epochs: readonly EpochLine[]
  /** Lines that are not as a run writes them: the last one where a run was killed. */
  readonly strange: number
}

const file = 'metrics.jsonl'
const isNumber = (v: unknown): v is number => typeof v === 'number' && Number.isFinite(v)

function lineOf(line: string): StepLine | EpochLine | undefined {
  let entry: unknown
  try {
    entry = parseJson(line, file)
  } catch {
    return undefined
  }
  if (!isRecord(entry)) return undefined
  const { step, epoch, loss, lr, train_loss: trainLoss, train_accuracy: trainAccuracy, val_loss: valLoss } = entry
  if (!isNumber(step) || !isNumber(epoch)) return undefined
  const rate = isNumber(lr) ? { lr } : {}
  if (isNumber(loss)) return { step, epoch, loss, ...rate }
  if (!isNumber(trainLoss) || !isNumber(trainAccuracy)) return undefined
  const metrics = Object.entries(entry).flatMap(([name, value]) =>
    name.startsWith('val_') && name !== 'val_loss' && isNumber(value) ? [[name.slice('val_'.length), value]] : [],
  )
  const validated = isNumber(valLoss) ? { valLoss } : {}
  return { step, epoch, trainLoss, trainAccuracy, ...validated, metrics: Object.fromEntries(metrics), ...rate }
}

/** What the run in a folder measured so far; nothing where it has no metrics.jsonl. */
export async function readMetrics(folder: string): Promise<RunMetrics> {
  const files = localFiles(folder)
  const path = files.join(folder, file)
  if ((await files.kind(path)) !== 'file') return { lines: [], steps: [], epochs: [], strange: 0 }
  const written = new TextDecoder()
    .decode(await files.read(path))
    .split('\n')
    .filter((line) => line !== '')
  const lines = written.map(lineOf).filter((line) => line !== undefined)
  return {
    lines,
    steps: lines.filter((line) => 'loss' in line),
    epochs: lines.filter((line) => 'trainLoss' in line),
    strange: written.length - lines.length,
  }
}
