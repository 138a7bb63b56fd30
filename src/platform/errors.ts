// The error classes that a caller may want to tell apart: the input is at fault, the device is gone, the memory is full.

/** Bad input (a file, an option, a configuration): the message is one sentence that says what to do. */
export class InputError extends Error {
  override name = 'InputError'
}

/** The device of a backend is gone (lost, or a worker failed): what was on it is lost, and a new backend must be started. */
export class DeviceLostError extends Error {
  override name = 'DeviceLostError'
}

/** There is no memory left for a buffer; the message says what needs less, and whether the backend can still be used. */
export class OutOfMemoryError extends Error {
  override name = 'OutOfMemoryError'
}

/** What needs less memory, in the order of what to try. */
export const lessMemory =
  'use a smaller batch, checkpointing, LoRA instead of full fine-tuning, or a smaller input size'
