// The error classes that a caller may want to tell apart: the input is at fault, the device is gone, the memory is full.

const longest = 300

const middleOut = (text: string, most: number) =>
  text.length <= most
    ? text
    : `${text.slice(0, most - Math.floor(most / 2) - 1)}…${text.slice(text.length - Math.floor(most / 2))}`

/** Text as one line of at most 300 characters: names and numbers of any length come from files, and the remedy stands at the end. */
export function sentence(text: string): string {
  // What moves a terminal's cursor or turns its text around is left out.
  const line = text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]+/gu, ' ').replace(/\p{Cs}/gu, '\ufffd')
  return line.length <= longest
    ? line
    : middleOut(
        line.replace(/\S{100,}/g, (word) => middleOut(word, 80)),
        longest,
      )
}

/** Bad input (a file, an option, a configuration): the message is one sentence, of at most 300 characters, that says what to do. */
export class InputError extends Error {
  override name = 'InputError'

  constructor(message: string, options?: ErrorOptions) {
    super(sentence(message), options)
  }
}

/**
 * A loss, an output or a weight is NaN or infinite, so that no result would have ground: the message says where, and the
 * likely causes. A setting, the images or the weights are at fault, which makes it bad input.
 */
export class NotFiniteError extends InputError {
  override name = 'NotFiniteError'
}

/** A run cannot go on as it began: images, model or preprocessor are others. The message says which; `acceptChanges` goes on. */
export class ChangedError extends InputError {
  override name = 'ChangedError'
}

/** Something could not be read: it is not there, a folder, not this user's. The message is one sentence that names the file. */
export class ReadError extends InputError {
  override name = 'ReadError'
  constructor(
    message: string,
    /** What the system calls it: EACCES and the like. */
    readonly code: string,
  ) {
    super(message)
  }
}

/** Something could not be written: the disk is full, read-only or gone. The message is one sentence that names the file. */
export class WriteError extends InputError {
  override name = 'WriteError'
  constructor(
    message: string,
    /** What the system calls it: ENOSPC and the like. */
    readonly code: string,
  ) {
    super(message)
  }
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
