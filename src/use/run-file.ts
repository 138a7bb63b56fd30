// run.json as others read it: whoever wrote it, what is used of it is what it should be.
import { type Method, methods } from '../adapters/methods.ts'
import { isRecord, readJsonObject } from '../io/json.ts'
import { localFiles } from '../io/local-files.ts'
import type { KnownLabels } from '../labels/facts.ts'
import { multiclassLabels } from '../labels/labels.ts'
import { type Interpolation, interpolations } from '../models/vit/config.ts'
import { InputError } from '../platform/errors.ts'
import { checkRules } from '../schema/rules.ts'
import { settingRules } from '../settings/schema.ts'
import { pick, type TrainSettings } from '../settings/settings.ts'
import { keptLabels } from '../tasks/label-fields.ts'
import type { RateTest } from '../train/find-rate.ts'

/** What train.ts writes to run.json, as far as others read it. */
export interface RunFile {
  /** What its checkpoints must carry; absent in runs of earlier versions. */
  id?: string
  method: Method
  model: string
  classes: string[]
  /** What its outputs are, as labelFacts writes it; absent in runs of earlier versions, which choose one class. */
  labels?: unknown
  /** Of a model by name: the commit that was trained on. */
  commit?: string
  inputSize?: number
  interpolation?: Interpolation
}

const isCount = (v: unknown): v is number => Number.isInteger(v) && Number(v) >= 1 && Number(v) <= 1000
const isText = (v: unknown) => typeof v === 'string' && v !== ''
const isTexts = (v: unknown) => Array.isArray(v) && v.length > 0 && v.every((one) => typeof one === 'string')
const isBegunFrom = (v: unknown) =>
  isRecord(v) &&
  isText(v.run) &&
  [v.kept, v.added, v.gone].every((list) => Array.isArray(list) && list.every((one) => typeof one === 'string'))
const absentOr = (fine: (v: unknown) => boolean) => (v: unknown) => v === undefined || fine(v)

/** What is read of run.json, whoever wrote it. */
const runRules: [string, (value: unknown) => boolean, string][] = [
  ['method', (v) => methods.some((one) => one === v), `one of ${methods.join(', ')}`],
  ['model', isText, 'the name or folder of a model'],
  ['classes', isTexts, 'a list of names'],
  ['id', absentOr(isText), 'text'],
  ['commit', absentOr((v) => typeof v === 'string' && /^[0-9a-f]{40}$/.test(v)), 'a commit of 40 digits'],
  ['inputSize', absentOr((v) => Number.isInteger(v) && Number(v) >= 1 && Number(v) <= 8192), 'pixels from 1 to 8192'],
  ['interpolation', absentOr((v) => interpolations.some((one) => one === v)), `one of ${interpolations.join(', ')}`],
  ['settings', absentOr(isRecord), 'an object'],
  ['labels', absentOr(isRecord), 'an object'],
  ['images', absentOr(isRecord), 'an object'],
  ['from', absentOr(isBegunFrom), 'a run, and labels that were kept, added and gone'],
  ['changes', absentOr(Array.isArray), 'a list'],
  ['notes', absentOr(isTexts), 'a list of sentences'],
  ['rates', absentOr(isRecord), 'an object'],
]

/** How the weights were packed that a run's adapter was trained over. Throws an InputError where run.json has no such packing. */
export function packingIn({ settings }: Readonly<Record<string, unknown>>) {
  const packing = pick((settings ?? {}) as Partial<TrainSettings>, 'quantize', 'doubleQuant', 'quantizeSkip')
  checkRules(packing, pick(settingRules, 'quantize', 'doubleQuant', 'quantizeSkip'))
  return packing
}

/** The labels of a run; those of an earlier version are one class an image. `where` comes before what is wrong. */
export function runLabels({ classes, labels }: Pick<RunFile, 'classes' | 'labels'>, where: string): KnownLabels {
  return labels === undefined ? { space: multiclassLabels(classes) } : keptLabels(labels, classes, `${where}: labels`)
}

const isRow = (v: unknown): v is number[] =>
  Array.isArray(v) && v.length <= 1000 && v.every((one) => typeof one === 'number' && Number.isFinite(one))

/** The range test that a run keeps, where it has one; InputError where it is none. `where` comes before what is wrong. */
export function keptRates(kept: unknown, where: string): RateTest | undefined {
  if (kept === undefined) return undefined
  const { rates, losses, window, chosen, otherwise } = isRecord(kept) ? kept : {}
  const fits =
    isRow(rates) &&
    isRow(losses) &&
    rates.length === losses.length &&
    rates.every((rate) => rate > 0) &&
    isCount(window)
  if (fits && typeof chosen === 'number' && chosen > 0 && Number.isFinite(chosen) && absentOr(isText)(otherwise)) {
    return { rates, losses, window, chosen, ...(otherwise === undefined ? {} : { otherwise: otherwise as string }) }
  }
  throw new InputError(`${where} must be rates above 0 with as many losses, a window and the chosen rate`)
}

/** The file of a run folder that says what was run. */
export const runFile = 'run.json'

/** Reads run.json of a run folder; throws InputError when there is none or it is not one of ours. */
export async function readRun(folder: string): Promise<RunFile & Record<string, unknown>> {
  const files = localFiles(folder)
  const path = files.join(folder, runFile)
  if ((await files.kind(path)) !== 'file')
    throw new InputError(`${folder}: must be a run folder that vitune train wrote, got no run.json in it`)
  const run = await readJsonObject(path)
  for (const [name, fine, rule] of runRules) {
    if (!fine(run[name]))
      throw new InputError(`${path}: ${name} must be ${rule}, got ${JSON.stringify(run[name])?.slice(0, 60)}`)
  }
  return run as unknown as RunFile & Record<string, unknown>
}

/** run.json of a folder that may be a run's; undefined where it has none. */
export async function findRun(folder: string): Promise<Awaited<ReturnType<typeof readRun>> | undefined> {
  const files = localFiles(folder)
  return (await files.kind(files.join(folder, runFile))) === 'file' ? readRun(folder) : undefined
}
