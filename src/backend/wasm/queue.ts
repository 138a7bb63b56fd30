// Two ways to run records: at once on the calling thread, or by workers that walk a ring in shared memory.
// The workers' side is assembly/queue.ts.
import { platform } from '#platform'
import { DeviceLostError } from '../../platform/errors.ts'
import type { WorkerHandle } from '../../platform/platform.ts'
import { ARMED, DONE, FAILED, RECORDS, RING, SERIAL, SIGNAL, TAIL, TAIL_SLEEPERS, WANTED, WORDS } from './layout.ts'
import { workerSource } from './worker.ts'

export interface Queue {
  /** Commands handed over so far. */
  submitted(): number
  /** Commands finished so far. */
  completed(): number
  /** Hands over one record of 32 words. */
  push(record: Int32Array): void
  /** Resolves once `count` commands are finished; rejects if a worker failed. */
  finished(count: number): Promise<void>
  /** Blocks until everything is finished or a worker has failed. */
  drain(): void
  stop(): Promise<void>
}

/** Runs every record before `push` returns; a trap is thrown there. */
export function createDirectQueue(memory: WebAssembly.Memory, execute: Execute): Queue {
  let count = 0
  let ring = new Int32Array(memory.buffer, RING, WORDS)
  return {
    submitted: () => count,
    completed: () => count,
    push(record) {
      if (ring.buffer !== memory.buffer) ring = new Int32Array(memory.buffer, RING, WORDS)
      ring.set(record)
      execute(RING, 0, 1)
      count++
    },
    finished: async () => {},
    drain: () => {},
    stop: async () => {},
  }
}

export type Execute = (record: number, thread: number, threads: number) => void

// Not yet in the compiler's library at this target.
type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
) => { async: false; value: string } | { async: true; value: Promise<string> }
const waitAsync = (Atomics as unknown as { waitAsync?: WaitAsync }).waitAsync

/**
 * Every worker must pass a slot before it is written again. A worker that only skips serial commands may lag, so one
 * command in every PACE runs on all of them.
 */
const PACE = RECORDS / 4
const FULL = RECORDS - PACE - 1

interface Waiter {
  count: number
  resolve(): void
  reject(error: Error): void
}

/** Starts `threads` workers; resolves when all stand ready. */
export async function createThreadedQueue(
  memory: WebAssembly.Memory,
  module: WebAssembly.Module,
  threads: number,
): Promise<Queue> {
  const words = new Int32Array(memory.buffer, 0, RING / 4 + RECORDS * WORDS)
  const waiters: Waiter[] = []
  let submitted = 0
  let failure: Error | undefined
  let watching = false

  const completed = () => submitted - ((submitted - Atomics.load(words, DONE / 4)) | 0)

  function fail(error: Error): void {
    failure ??= new DeviceLostError(`wasm: a worker failed, ${error.message}; start a new backend`)
    for (const waiter of waiters.splice(0)) waiter.reject(failure)
    settle()
  }

  /** Answers who can be answered, then asks to be woken for the next. */
  function settle(): void {
    for (;;) {
      const done = completed()
      while (waiters.length > 0 && waiters[0]!.count <= done) waiters.shift()!.resolve()
      if (waiters.length === 0) {
        workers[0]?.hold(false)
        return
      }
      if (watching) return
      const signal = Atomics.load(words, SIGNAL / 4)
      Atomics.store(words, WANTED / 4, waiters[0]!.count | 0)
      Atomics.store(words, ARMED / 4, 1)
      if (completed() >= waiters[0]!.count) continue
      // A pending wait does not keep Node alive; the worker held does.
      workers[0]?.hold(true)
      watching = true
      const wake = () => {
        watching = false
        settle()
      }
      const wait = waitAsync?.(words, SIGNAL / 4, signal)
      if (!wait) setTimeout(wake, 1)
      else if (wait.async) wait.value.then(wake)
      else {
        watching = false
        continue
      }
      return
    }
  }

  /** Blocks the calling thread until `count` commands are finished; only when the ring or the memory is full. */
  function block(count: number): void {
    while (completed() < count && !failure) {
      if (Atomics.load(words, FAILED / 4) !== 0) return
      try {
        Atomics.wait(words, FAILED / 4, 0, 0.2)
      } catch {
        // A page's main thread may not sleep: look again.
      }
    }
  }

  const workers: WorkerHandle[] = []
  const ready: Promise<void>[] = []
  const source = workerSource()
  for (let thread = 0; thread < threads; thread++) {
    const worker = platform.startWorker(source)
    workers.push(worker)
    ready.push(
      new Promise((resolve, reject) => {
        worker.onMessage((message) => {
          if (message === 'ready') return resolve()
          const error = new Error(String(message))
          reject(error)
          fail(error)
        })
        worker.onError((error) => {
          reject(error)
          fail(error)
        })
      }),
    )
    worker.hold(true)
    worker.post({ module, memory, thread, threads })
  }
  try {
    await Promise.all(ready)
  } catch (error) {
    await Promise.all(workers.map((worker) => worker.stop()))
    throw error
  }
  for (const worker of workers) worker.hold(false)

  return {
    submitted: () => submitted,
    completed,
    push(record) {
      if (failure) return
      if (submitted - completed() >= FULL) block(submitted - FULL + PACE)
      const at = RING / 4 + (submitted % RECORDS) * WORDS
      words.set(record, at)
      if (submitted % PACE === 0) words[at + SERIAL] = 0
      submitted++
      Atomics.store(words, TAIL / 4, submitted | 0)
      if (Atomics.load(words, TAIL_SLEEPERS / 4) !== 0) Atomics.notify(words, TAIL / 4)
    },
    finished(count) {
      if (failure) return Promise.reject(failure)
      if (completed() >= count) return Promise.resolve()
      return new Promise((resolve, reject) => {
        waiters.push({ count, resolve, reject })
        settle()
      })
    },
    drain: () => block(submitted),
    async stop() {
      failure ??= new Error('wasm: the backend was disposed')
      for (const waiter of waiters.splice(0)) waiter.reject(failure)
      await Promise.all(workers.map((worker) => worker.stop()))
    },
  }
}
