// What a file is written from.
import type { Data } from './platform.ts'

/** Data, part by part. */
export const partsIn = (data: Data): Iterable<Uint8Array> | AsyncIterable<Uint8Array> =>
  typeof data === 'string' ? [new TextEncoder().encode(data)] : data instanceof Uint8Array ? [data] : data
