// Where nothing outlives the tab, leaving it asks first while something that was trained has not been downloaded.
import type { Session } from '../web/session.ts'

export interface Leaving {
  /** A run has changed: what was downloaded of it is no longer all. */
  trained(run: string): void
  /** A run was downloaded, or thrown away. */
  done(run: string): void
}

/** Watches over runs; does nothing where the browser keeps them. */
export function createLeaving({ storage }: Session): Leaving {
  const open = new Set<string>()
  if (storage === 'memory') {
    addEventListener('beforeunload', (event) => {
      if (open.size === 0) return
      event.preventDefault()
      event.returnValue = true // browsers of before 2024
    })
  }
  return { trained: (run) => void open.add(run), done: (run) => void open.delete(run) }
}
