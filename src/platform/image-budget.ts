// What decoding may take at one time, in the calling thread and all image workers together, so that memory does not grow
// with the pictures: pixels that are being decoded, and bytes of the files that they are decoded from.

/** Pixels at one time; a picture of more is refused. Pillow's own limit, beyond which it takes a file for an attack. */
export const MOST_PIXELS = 178_956_970
/** Bytes at one time; a file of more is refused unread. */
export const MOST_BYTES = 2 ** 29

const million = (n: number): string => String(Math.round(n / 1e6))

/** Throws an Error where a picture has more pixels than may ever be decoded. */
export function checkPixels(width: number, height: number): void {
  if (width * height <= MOST_PIXELS) return
  throw new Error(
    `it has ${width} x ${height} pixels (${million(width * height)} million), more than ${million(MOST_PIXELS)} million; make it smaller`,
  )
}

/** Throws an Error where a file is too large to be read. */
export function checkBytes(bytes: number): void {
  if (bytes <= MOST_BYTES) return
  throw new Error(`it has ${million(bytes)} million bytes, more than ${million(MOST_BYTES)} million; make it smaller`)
}

/** Pixels and bytes that are taken now; in memory that threads share where there is such. */
export type Taken = Int32Array<ArrayBufferLike>

const shared = typeof SharedArrayBuffer !== 'undefined'
const nothing = (): Taken => new Int32Array(shared ? new SharedArrayBuffer(8) : new ArrayBuffer(8))
let taken = nothing()

/** The count, to be given to workers; undefined where memory cannot be shared: then each thread counts for itself. */
export const sharedCount = (): Taken | undefined => (shared ? taken : undefined)
/** Makes this thread count together with the one that gave `count`. */
export function shareCount(count: Taken): void {
  taken = count
}
/** Begins anew: workers that were stopped at work give nothing back. */
export function renewCount(): void {
  taken = nothing()
}

const WAIT = 5 // ms

/** Runs `body` while `amount` is taken of `most`; waits for its turn. */
async function within<T>(which: 0 | 1, most: number, amount: number, body: () => Promise<T>): Promise<T> {
  for (;;) {
    const count = taken
    const now = Atomics.load(count, which)
    if (now + amount > most) await new Promise((resolve) => setTimeout(resolve, WAIT))
    else if (Atomics.compareExchange(count, which, now, now + amount) === now) {
      try {
        return await body()
      } finally {
        Atomics.sub(count, which, amount)
      }
    }
  }
}

/** Runs `body`, which decodes so many pixels, once there is room for them; throws an Error where there never is. */
export async function withPixels<T>(width: number, height: number, body: () => Promise<T>): Promise<T> {
  checkPixels(width, height)
  return within(0, MOST_PIXELS, width * height, body)
}

/** Runs `body`, which holds a file of so many bytes, once there is room for it; throws an Error where there never is. */
export async function withBytes<T>(bytes: number, body: () => Promise<T>): Promise<T> {
  checkBytes(bytes)
  return within(1, MOST_BYTES, bytes, body)
}
