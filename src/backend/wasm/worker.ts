// The text of a worker: instantiates the compiled module on the shared memory and walks the queue until it is stopped.
// It sleeps and wakes others here and not in the module; assembly/queue.ts says why.
import {
  DONE,
  DONE_SLEEPERS,
  FAILED,
  SIGNAL,
  SLEEP_FOR_DONE,
  SLEEP_FOR_TAIL,
  TAIL,
  TAIL_SLEEPERS,
  WAKE_MAIN,
  WAKE_WORKERS,
} from './layout.ts'

/** Plain JavaScript; answers 'ready', later only with the reason of a failure. */
export function workerSource(): string {
  return `self.onmessage = ({ data: { module, memory, thread, threads } }) => {
  const words = new Int32Array(memory.buffer, 0, 1024)
  const sleep = (word, seen, sleepers) => {
    Atomics.add(words, sleepers, 1)
    Atomics.wait(words, word, seen)
    Atomics.sub(words, sleepers, 1)
  }
  const wakeMain = () => {
    Atomics.add(words, ${SIGNAL / 4}, 1)
    Atomics.notify(words, ${SIGNAL / 4})
  }
  try {
    const { work } = new WebAssembly.Instance(module, { env: { memory } }).exports
    postMessage('ready')
    let i = 0
    for (;;) {
      const next = work(i, thread, threads)
      if (next === ${SLEEP_FOR_TAIL}) sleep(${TAIL / 4}, i, ${TAIL_SLEEPERS / 4})
      else if (next === ${SLEEP_FOR_DONE}) {
        const done = Atomics.load(words, ${DONE / 4})
        if (((done - i) | 0) < 0) sleep(${DONE / 4}, done, ${DONE_SLEEPERS / 4})
      } else {
        i = (i + 1) | 0
        if (next & ${WAKE_WORKERS}) Atomics.notify(words, ${DONE / 4})
        if (next & ${WAKE_MAIN}) wakeMain()
      }
    }
  } catch (error) {
    Atomics.store(words, ${FAILED / 4}, 1)
    Atomics.notify(words, ${FAILED / 4})
    wakeMain()
    postMessage(String(error))
  }
}
`
}
