// The command queue in shared memory. The main thread appends records to a ring and moves TAIL; every worker walks
// the ring in the same order. A serial command runs on worker 0; a parallel one on all, each its own share.
// DONE counts finished commands and is the barrier: no thread starts command i before DONE reaches i.
// Sleeping and waking are left to the worker's JavaScript: in V8 11 (Node 20) the baseline code of memory.atomic.wait32
// writes 8 bytes into a 4-byte stack slot and so clears a neighbouring local.
import { execute } from './execute'
import { FLAGS, int } from './record'

// Addresses; the same numbers stand in src/backend/wasm/layout.ts. One cache line each.
const TAIL: usize = 1024
const DONE: usize = 1088
const ARRIVED: usize = 1152
const DONE_SLEEPERS: usize = 1280
const WANTED: usize = 1344
const ARMED: usize = 1348
const RING: usize = 4096
const RING_MASK: i32 = 4095
/** Looks before sleeping: some tens of microseconds. */
const SPINS: i32 = 20000

/** What a worker is to do next; the same numbers stand in src/backend/wasm/layout.ts. */
const NEXT: i32 = 0
const WAKE_WORKERS: i32 = 1
const WAKE_MAIN: i32 = 2
const SLEEP_FOR_TAIL: i32 = 4
const SLEEP_FOR_DONE: i32 = 8

/** Moves DONE; tells who is to be woken. */
function publish(count: i32): i32 {
  atomic.store<i32>(DONE, count)
  let wake = atomic.load<i32>(DONE_SLEEPERS) != 0 ? WAKE_WORKERS : NEXT
  if (atomic.load<i32>(ARMED) != 0 && count - atomic.load<i32>(WANTED) >= 0) {
    if (atomic.cmpxchg<i32>(ARMED, 1, 0) == 1) wake |= WAKE_MAIN
  }
  return wake
}

/** Waits for command i and runs this thread's part of it; or tells what to sleep for before trying again. */
export function step(i: i32, thread: i32, threads: i32): i32 {
  let spins = SPINS
  while (atomic.load<i32>(TAIL) == i) {
    if (--spins == 0) return SLEEP_FOR_TAIL
  }
  const r = RING + ((<usize>(i & RING_MASK)) << 7)
  const serial = int(r, FLAGS) != 0
  if (serial && thread != 0) return NEXT
  spins = SPINS
  while (atomic.load<i32>(DONE) - i < 0) {
    if (--spins == 0) return SLEEP_FOR_DONE
  }
  if (serial) {
    execute(r, 0, 1)
    return publish(i + 1)
  }
  execute(r, thread, threads)
  if (atomic.add<i32>(ARRIVED, 1) != threads - 1) return NEXT
  atomic.store<i32>(ARRIVED, 0)
  return publish(i + 1)
}
