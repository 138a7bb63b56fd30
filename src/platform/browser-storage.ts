// Where the files of this thread are: kept by the browser, or in memory where it keeps none (private windows, blocked
// storage, browsers without it). A session decides once, before it reads or writes anything.
import { filesMissing, files as kept } from './browser-files.ts'
import { InputError } from './errors.ts'
import { createMemoryFiles } from './memory-files.ts'
import type { Files } from './platform.ts'

let chosen: Files = kept

/** The files of this thread. */
export const currentFiles = (): Files => chosen

/** Milliseconds that the storage has to answer: one that is broken may never. */
const PATIENCE = 20_000

/** Rejects when a promise takes longer. */
async function within<T>(promise: Promise<T>, ms: number, late: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(late)), ms)
  })
  return Promise.race([promise, over]).finally(() => clearTimeout(timer))
}

const probe = '/vitune/probe'

/** Writes, reads and removes a small file, one tab after the other; throws what that throws. */
async function tryStorage(): Promise<void> {
  await navigator.locks.request('vitune probe', async () => {
    await kept.makeFolder('/vitune')
    await kept.writeAtomic(probe, 'probe')
    const found = new TextDecoder().decode(await kept.read(probe))
    await kept.remove(probe)
    if (found !== 'probe') throw new Error('what is written is not what is read')
  })
}

const hasFiles = async (): Promise<boolean> => (await kept.list('/vitune').catch(() => [])).length > 0

/** Why the browser keeps no files for this page; undefined where it does. */
async function whyNot(): Promise<string | undefined> {
  const missing = filesMissing()
  if (missing) return missing
  // Without locks two tabs could spoil each other's runs.
  if (!navigator.locks) return 'this browser has no Web Locks, which keep two tabs from writing one run'
  try {
    await within(tryStorage(), PATIENCE, `it did not answer within ${PATIENCE / 1000} s`)
    return undefined
  } catch (error) {
    // Full storage still gives what it has.
    if (error instanceof InputError && (await hasFiles())) return undefined
    const name = error instanceof Error ? error.name : ''
    if (/is full/.test(String(error))) return "this browser's storage is full"
    if (name === 'SecurityError' || name === 'InputError') {
      return 'this browser allows this page no storage, as in a private window or where site data is blocked'
    }
    return `this browser's storage fails (${error instanceof Error ? error.message : error})`
  }
}

/** Decides where this thread's files are; resolves to why they are in memory, undefined where the browser keeps them. */
export async function settleStorage(): Promise<string | undefined> {
  const reason = await whyNot()
  if (reason !== undefined) chosen = createMemoryFiles()
  return reason
}
