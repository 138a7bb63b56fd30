// How a kernel reads its command: 32 words of 4 bytes: [kernel, buffers (outputs first), params, ...,
// the words below]. Word NEXT counts the units that threads have taken. The writer is src/backend/wasm/wasm.ts.

/** Word of a product of codes: the kind of its panels (codes.ts). */
export const KIND = 24
/** Words at the end of every record: the step of a two-step kernel, scratch of each thread, scratch of all. */
export const OWN = 25
export const OWN_STRIDE = 26
export const PHASE = 27
export const SHARED = 28
export const NEXT = 29
export const CHUNKS = 30
export const FLAGS = 31

// @ts-ignore: decorator
@inline
export function pointer(r: usize, word: i32): usize {
  return load<usize>(r + ((<usize>word) << 2))
}

// @ts-ignore: decorator
@inline
export function int(r: usize, word: i32): i32 {
  return load<i32>(r + ((<usize>word) << 2))
}

// @ts-ignore: decorator
@inline
export function float(r: usize, word: i32): f32 {
  return load<f32>(r + ((<usize>word) << 2))
}

/** Scratch of one thread. */
// @ts-ignore: decorator
@inline
export function own(r: usize, thread: i32): usize {
  return pointer(r, OWN) + <usize>thread * pointer(r, OWN_STRIDE)
}

/**
 * The next of a command's units that no thread has taken. Units of work are taken one by one where they are long, since
 * cores are not equally fast: some are small by design, and some share their arithmetic with a neighbour's program.
 */
// @ts-ignore: decorator
@inline
export function take(r: usize): i32 {
  const word = r + ((<usize>NEXT) << 2)
  if (ASC_FEATURE_THREADS) return atomic.add<i32>(word, 1)
  const unit = load<i32>(word)
  store<i32>(word, unit + 1)
  return unit
}
