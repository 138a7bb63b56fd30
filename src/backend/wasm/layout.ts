// Where things lie in the WebAssembly memory, in bytes; assembly/queue.ts and assembly/record.ts hold the same numbers.

/** Commands queued, commands done, workers asleep waiting for more of the one or the other. */
export const TAIL = 1024
export const DONE = 1088
export const TAIL_SLEEPERS = 1216
export const DONE_SLEEPERS = 1280
/** The count of done commands that the main thread waits for, whether it does, and the word it sleeps on. */
export const WANTED = 1344
export const ARMED = 1348
export const SIGNAL = 1408
/** Not 0 once a worker has failed. */
export const FAILED = 1472

/** The ring of commands: records of 32 words. */
export const RING = 4096
export const RECORDS = 4096
export const WORDS = 32

/** The first byte of the heap. */
export const HEAP = RING + RECORDS * WORDS * 4

/** Words at the end of a record. */
export const KIND = 24
export const OWN = 25
export const OWN_STRIDE = 26
export const PHASE = 27
export const SHARED = 28
export const CHUNKS = 30
export const SERIAL = 31

/** What the kernels' `work` tells a worker to do next, as bits. */
export const WAKE_WORKERS = 1
export const WAKE_MAIN = 2
export const SLEEP_FOR_TAIL = 4
export const SLEEP_FOR_DONE = 8
