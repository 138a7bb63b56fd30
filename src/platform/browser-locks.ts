// What only one tab may do at a time.

/**
 * Takes a name for this tab until the answer is called or the tab is gone; undefined while another has it. `patience` is
 * how many ms to wait: a tab that was closed or reloaded lets go a moment later.
 */
export async function holdLock(name: string, patience = 0): Promise<(() => void) | undefined> {
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
