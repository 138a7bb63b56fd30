// The module's exports: `execute` runs one command, `work` is one step of a worker (threaded variants only).
// The only import is the memory; there is no data segment, so many workers can share one memory.
import { step } from './queue'

export { execute } from './execute'

/** One try at command i by worker `thread`; returns what to do next (queue.ts). */
export function work(i: i32, thread: i32, threads: i32): i32 {
  if (ASC_FEATURE_THREADS) return step(i, thread, threads)
  return 0
}
