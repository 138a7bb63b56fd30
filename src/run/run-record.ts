// run.json while its run is trained: what the run is, and what the whole of it came to, whoever trained its parts.
// Not here: how it is read (run-file.ts).
import { platform } from '#platform'
import type { Backend } from '../backend/backend.ts'
import { localFiles } from '../io/local-files.ts'
import { labelFacts } from '../labels/facts.ts'
import { version } from '../platform/version.ts'
import { defaults } from '../settings/schema.ts'
import { pick } from '../settings/settings.ts'
import { runFile } from '../use/run-file.ts'
import { knownLabels, type Past, type Run } from './run.ts'
import type { RunModel } from './run-model.ts'
import type { BegunFrom } from './train-events.ts'

/** As many notes as run.json keeps, and of each as many characters. */
const [mostNotes, longestNote] = [100, 500]

/** Takes down what is told of a run, as run.json keeps it: each note once, cut where it is long, no more of them than `mostNotes`. */
export function keepNotes({ notes }: Past, told: readonly string[]): void {
  for (const note of told) {
    const short = note.length > longestNote ? `${note.slice(0, longestNote - 1)}…` : note
    if (notes.has(short) || notes.size > mostNotes) continue
    notes.add(notes.size < mostNotes ? short : `and more than these ${mostNotes}, which are not kept`)
  }
}

const amount = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0)

/** What run.json says that a run came to; a new run has come to nothing. The checkpoint knows of skipped images. */
export function pastOf(before: Readonly<Record<string, unknown>> | undefined): Past {
  const notes = before?.notes as readonly string[] | undefined
  return {
    created: typeof before?.created === 'string' ? before.created : new Date().toISOString(),
    seconds: amount(before?.seconds),
    peakBytes: amount(before?.peakBytes),
    skipped: new Map(),
    notes: new Set(notes),
    ...(typeof before?.duplicates === 'number' ? { duplicates: before.duplicates } : {}),
  }
}

export interface RunRecord {
  /** Of the whole run. */
  soFar(): { peakBytes: number; seconds: number }
  /** Writes run.json anew, with `more`; nothing where the run is kept nowhere. */
  write(more: Readonly<Record<string, unknown>>): Promise<void>
}

/** What a run took over from the one that it began from; the record has it where it goes on without that. */
export function fromOf({ settings: { from }, before }: Run, { plan }: RunModel): BegunFrom | undefined {
  if (from === undefined) return undefined
  const recorded = before?.from as BegunFrom | undefined
  return recorded ?? { run: from, ...plan.prepared.rows! }
}

/** What run.json says of a run whatever comes of it. */
function describeRun(run: Run, model: RunModel, backend: Backend): Record<string, unknown> {
  const {
    id,
    settings,
    reasons,
    images: { folder, unlabelled },
    past,
    changes,
    rates,
    byLabel,
  } = run
  const {
    opened,
    plan: { task, method, prepared, lr, counts },
  } = model
  const from = fromOf(run, model)
  return {
    vitune: version,
    ...(id === undefined ? {} : { id }),
    created: past.created,
    method,
    model: settings.model,
    ...(opened.commit ? { commit: opened.commit } : {}),
    ...(from ? { from } : {}),
    classes: folder.classes,
    labels: labelFacts(knownLabels(run, task)),
    ...pick(settings, 'inputSize', 'interpolation'),
    settings: { ...settings, peft: method, lr: settings.lr === 'auto' ? (rates?.chosen ?? 'auto') : lr },
    ...(rates === undefined ? {} : { rates }),
    ...(byLabel === undefined ? {} : { byLabel }),
    ...(Object.keys(reasons).length > 0 ? { reasons } : {}),
    seed: settings.seed ?? defaults.seed,
    lora: prepared.lora,
    preprocess: opened.preprocess,
    ...pick(opened, 'fingerprint'),
    versions: platform.describe(),
    device: backend.name,
    threads: backend.caps.threads,
    images: {
      train: folder.train.length,
      val: folder.val?.length ?? 0,
      ...(unlabelled && { unlabelled: unlabelled.dataset.length }),
    },
    ...counts,
    ...(changes.length > 0 ? { changes } : {}),
  }
}

/** The record of a run that is trained on this backend. */
export function runRecord(run: Run, model: RunModel, backend: Backend): RunRecord {
  const { past, started } = run
  const { out } = run.settings
  const soFar = () => {
    past.peakBytes = Math.max(past.peakBytes, backend.memory().peak)
    return { peakBytes: past.peakBytes, seconds: past.seconds + (performance.now() - started) / 1000 }
  }
  return {
    soFar,
    async write(more) {
      if (out === undefined) return
      const files = localFiles(out)
      const skippedImages = [...past.skipped].map(([file, reason]) => ({ file, reason }))
      const all = {
        ...describeRun(run, model, backend),
        ...soFar(),
        ...more,
        ...pick(past, 'duplicates'),
        ...(past.notes.size > 0 ? { notes: [...past.notes] } : {}),
        skippedImages,
      }
      await files.writeAtomic(files.join(out, runFile), `${JSON.stringify(all, null, 2)}\n`)
    },
  }
}
