// run.json while its run is trained: what the run is, and what the whole of it came to, whoever trained its parts.
// Not here: how it is read (run-file.ts).
import type { Backend } from '../backend/backend.ts'
import { localFiles } from '../io/local-files.ts'
import { pick } from './settings.ts'

/** What a run came to before this process, or its last device, took it up; the trainer adds to it. */
export interface Past {
  readonly created: string
  /** Of earlier processes. */
  readonly seconds: number
  /** Highest tensor memory so far. */
  peakBytes: number
  /** Files that could not be read, with reasons; a checkpoint keeps those of the steps before it. */
  readonly skipped: Map<string, string>
  /** How many images to validate on are among those to train on. */
  duplicates?: number
}

const amount = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0)

/** What run.json says that a run came to; a new run has come to nothing. The checkpoint knows of skipped images. */
export function pastOf(before: Readonly<Record<string, unknown>> | undefined): Past {
  return {
    created: typeof before?.created === 'string' ? before.created : new Date().toISOString(),
    seconds: amount(before?.seconds),
    peakBytes: amount(before?.peakBytes),
    skipped: new Map(),
    ...(typeof before?.duplicates === 'number' ? { duplicates: before.duplicates } : {}),
  }
}

export interface RunRecord {
  /** Of the whole run. */
  soFar(): { peakBytes: number; seconds: number }
  /** Writes run.json anew, with `more`; nothing where the run is kept nowhere. */
  write(more: Readonly<Record<string, unknown>>): Promise<void>
}

/** Keeps `record` at `path`, for a run that this process took up at `started` (performance.now()). */
export function runRecord(
  path: string | undefined,
  record: Readonly<Record<string, unknown>>,
  past: Past,
  backend: Backend,
  started: number,
): RunRecord {
  const soFar = () => {
    past.peakBytes = Math.max(past.peakBytes, backend.memory().peak)
    return { peakBytes: past.peakBytes, seconds: past.seconds + (performance.now() - started) / 1000 }
  }
  return {
    soFar,
    async write(more) {
      if (path === undefined) return
      const skippedImages = [...past.skipped].map(([file, reason]) => ({ file, reason }))
      const all = { ...record, ...soFar(), ...more, ...pick(past, 'duplicates'), skippedImages }
      await localFiles(path).writeAtomic(path, `${JSON.stringify(all, null, 2)}\n`)
    },
  }
}
