// What only one tab may do at a time.
import { currentFiles } from './browser-storage.ts'
import type { Lock, LockHolder } from './platform.ts'

/** Names taken where files are in memory, which no other tab sees. */
const own = new Set<string>()

function holdOwn(name: string): (() => void) | undefined {
  if (own.has(name)) return undefined
  own.add(name)
  return () => own.delete(name)
}

/**
 * Takes a name for this tab until the answer is called or the tab is gone; undefined while another has it. `patience` is
 * how many ms to wait: a tab that was closed or reloaded lets go a moment later.
 */
export async function holdLock(name: string, patience = 0): Promise<(() => void) | undefined> {
  if (!currentFiles().shared) return holdOwn(name)
  const when = patience > 0 ? { signal: AbortSignal.timeout(patience) } : { ifAvailable: true }
  try {
    return await new Promise((resolve, reject) => {
      navigator.locks
        .request(name, when, (lock) => {
          if (!lock) return resolve(undefined)
          return new Promise<void>((release) => resolve(release))
        })
        .catch(reject)
    })
  } catch (error) {
    if (error instanceof DOMException && /^(Timeout|Abort)Error$/.test(error.name)) return undefined
    throw error
  }
}

/** Runs `body` while no other caller, here or in another tab, runs one under the same name. */
export async function inTurn<T>(name: string, body: () => Promise<T>): Promise<T> {
  return navigator.locks ? navigator.locks.request(`vitune ${name}`, body) : body()
}

/** The lock of a path in this origin's files; where a page has no locks, nobody else has them either. */
export async function takeLock(path: string): Promise<Lock | LockHolder> {
  if (currentFiles().shared && !navigator.locks) return { release: async () => {} }
  const release = await holdLock(`vitune ${path}`)
  return release ? { release: async () => release() } : { path, who: 'another tab', known: true }
}

/** Who has the lock of a path. */
export async function lockHolder(path: string): Promise<LockHolder | undefined> {
  if (!currentFiles().shared) return own.has(`vitune ${path}`) ? { path, who: 'this tab', known: true } : undefined
  const { held = [] } = (await navigator.locks?.query()) ?? {}
  return held.some(({ name }) => name === `vitune ${path}`) ? { path, who: 'another tab', known: true } : undefined
}
