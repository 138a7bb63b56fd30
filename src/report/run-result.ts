// A run folder as its report shows it: run.json and metrics.jsonl, whoever wrote them. Not here: the page (run-report.ts).
import { isRecord } from '../io/json.ts'
import { localFiles } from '../io/local-files.ts'
import { InputError } from '../platform/errors.ts'
import { shown } from '../schema/rules.ts'
import { otherwiseOf, type Setting } from '../schema/setting.ts'
import { defaults, settings } from '../settings/schema.ts'
import { tasks } from '../tasks/registry.ts'
import { type LabelRow, monitorOf } from '../tasks/task.ts'
import type { RateTest } from '../train/find-rate.ts'
import { keptRates, readRun, runLabels } from '../use/run-file.ts'
import { type RunMetrics, readMetrics } from '../use/run-metrics.ts'

/** A setting, its value in words, and where that comes from. */
export interface ShownSetting {
  readonly name: string
  readonly value: string
  readonly from: string
}

/** What is told of one run. */
export interface RunResult {
  /** The folder. */
  readonly name: string
  readonly method: string
  readonly model: string
  readonly data: string
  readonly created: string
  readonly finished: boolean
  /** Why it ended; absent while it has not. */
  readonly ended?: string
  /** What is learnt, in words. */
  readonly task: string
  readonly labels: number
  readonly images: { readonly train: number; readonly val: number }
  readonly epochs: number
  /** What chose the best epoch. */
  readonly monitor: string
  readonly metrics: RunMetrics
  readonly rates?: RateTest
  readonly byLabel: readonly LabelRow[]
  readonly settings: readonly ShownSetting[]
  readonly skipped: readonly { readonly file: string; readonly reason: string }[]
  /** Images to validate on that are trained on too. */
  readonly duplicates: number
  /** What was told of it when it began or went on. */
  readonly notes: readonly string[]
  /** What was accepted as changed, in sentences. */
  readonly changes: readonly string[]
  readonly machine: Readonly<Record<string, string>>
  readonly trainable?: number
  readonly total?: number
  readonly seconds?: number
  readonly peakBytes?: number
  /** Thresholds by label, where the task has such. */
  readonly thresholds?: readonly number[]
}

const isNumber = (v: unknown): v is number => typeof v === 'number' && Number.isFinite(v)
const isText = (v: unknown): v is string => typeof v === 'string'
const amount = (v: unknown) => (isNumber(v) && v >= 0 ? v : undefined)

/** An entry of a list that is a record with these texts. */
const withTexts = <K extends string>(list: unknown, ...names: K[]): Record<K, string>[] =>
  (Array.isArray(list) ? list : []).filter(
    (one): one is Record<K, string> => isRecord(one) && names.every((name) => isText(one[name])),
  )

/** Settings that were used, the places of things left out: where they lie says nothing of how it was trained. */
function settingsOf(
  used: Readonly<Record<string, unknown>>,
  reasons: Readonly<Record<string, unknown>>,
  found: boolean,
) {
  const known = Object.entries<Setting>(settings)
  return known.flatMap(([name, setting]): ShownSetting[] => {
    const value = used[name]
    if (value === undefined || name === 'out') return []
    const reason = reasons[name]
    const usual = (defaults as Readonly<Record<string, unknown>>)[name]
    const isUsual = JSON.stringify(value) === JSON.stringify(usual)
    const from = isText(reason)
      ? `recipe: ${reason}`
      : name === 'lr' && found
        ? 'range test'
        : isUsual
          ? 'default'
          : 'given'
    const said = isUsual ? otherwiseOf(setting) : undefined
    return [{ name, value: said ?? (isText(value) ? value : shown(value)), from }]
  })
}

/** Rows of labels as run.json has them; numbers that are none (NaN, say) are left as such. */
function labelRows(kept: unknown): LabelRow[] {
  return withTexts(kept, 'label').map((row) => {
    const { label, positives, known, precision, recall, f1, ap, threshold } = row as Record<string, unknown>
    const number = (v: unknown) => (isNumber(v) ? v : Number.NaN)
    return {
      label: label as string,
      positives: number(positives),
      known: number(known),
      precision: number(precision),
      recall: number(recall),
      f1: number(f1),
      ...(isNumber(ap) ? { ap } : {}),
      ...(isNumber(threshold) ? { threshold } : {}),
    }
  })
}

/** Reads a run folder. Throws an InputError where it is none. */
export async function readRunResult(folder: string): Promise<RunResult> {
  if (!isText(folder) || folder === '') throw new InputError(`run: must be the folder of a run, got ${shown(folder)}`)
  const files = localFiles(folder)
  const run = await readRun(folder)
  const where = `${folder}/run.json`
  const { space, thresholds } = runLabels(run, where)
  const rates = keptRates(run.rates, `${where}: rates`)
  const used = (run.settings ?? {}) as Record<string, unknown>
  const images = (run.images ?? {}) as Record<string, unknown>
  const kind = tasks[space.task]
  if (used.monitor !== undefined && !isText(used.monitor))
    throw new InputError(`${where}: settings.monitor must be the name of a metric, got ${shown(used.monitor)}`)
  const numbers = { trainable: run.trainable, total: run.total, seconds: run.seconds, peakBytes: run.peakBytes }
  const known = Object.entries(numbers).flatMap(([name, value]) => {
    const is = amount(value)
    return is === undefined ? [] : [[name, is]]
  })
  return {
    name: files.baseName(files.resolve(folder)),
    method: run.method,
    model: run.model,
    data: isText(used.data) ? used.data : '',
    created: isText(run.created) ? run.created : '',
    finished: run.finished === true,
    ...(isText(run.ended) ? { ended: run.ended } : {}),
    task: kind.says,
    labels: space.names.length,
    images: { train: amount(images.train) ?? 0, val: amount(images.val) ?? 0 },
    epochs: amount(used.epochs) ?? 0,
    monitor: monitorOf(kind, used.monitor, `${where}: settings.`).name,
    metrics: await readMetrics(folder),
    ...(rates ? { rates } : {}),
    byLabel: labelRows(run.byLabel),
    settings: settingsOf(used, isRecord(run.reasons) ? run.reasons : {}, rates !== undefined),
    skipped: withTexts(run.skippedImages, 'file', 'reason'),
    duplicates: amount(run.duplicates) ?? 0,
    notes: (run.notes ?? []) as readonly string[],
    changes: withTexts(run.changes, 'what').map(({ what }) => what),
    machine: {
      ...(isText(run.device)
        ? {
            Device: `${run.device}${isNumber(run.threads) ? `, ${run.threads} ${run.threads === 1 ? 'thread' : 'threads'}` : ''}`,
          }
        : {}),
      ...(isText(run.vitune) ? { vitune: run.vitune } : {}),
      ...Object.fromEntries(
        Object.entries(isRecord(run.versions) ? run.versions : {}).filter((entry): entry is [string, string] =>
          isText(entry[1]),
        ),
      ),
    },
    ...Object.fromEntries(known),
    ...(thresholds ? { thresholds } : {}),
  }
}
