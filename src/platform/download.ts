// One file from an address, as it comes. The hub's own protocol is in hub-node.ts.
import { InputError } from './errors.ts'

/** A file on its way. */
export interface Download {
  /** Bytes that the server announced; it may have compressed them. */
  readonly size: number | undefined
  readonly body: AsyncIterable<Uint8Array>
}

async function* chunks(response: Response, url: string, size: number | undefined): AsyncGenerator<Uint8Array> {
  // Safari cannot iterate a stream.
  const reader = response.body?.getReader()
  let done = 0
  try {
    for (;;) {
      const part = await reader?.read()
      if (!part || part.done) break
      done += part.value.length
      yield part.value
    }
  } finally {
    await reader?.cancel().catch(() => {})
  }
  if (size !== undefined && done < size) throw new InputError(`${url}: ${done} bytes came of ${size}; try again`)
}

/** Asks for a file; undefined when there is none. Throws an InputError for any other answer, and for none. */
export async function download(url: string, signal?: AbortSignal): Promise<Download | undefined> {
  let response: Response
  try {
    response = await fetch(url, signal ? { signal } : {})
  } catch (error) {
    signal?.throwIfAborted()
    const why = error instanceof Error ? error.message : String(error)
    throw new InputError(
      `${url}: could not be reached (${why}); check the connection, and that the server lets this page read it (CORS)`,
    )
  }
  if (response.status === 404) return undefined
  if (!response.ok) throw new InputError(`${url}: the server answered with status ${response.status}`)
  const announced = response.headers.get('content-length')
  const size = announced === null ? undefined : Number(announced)
  return { size, body: chunks(response, url, size) }
}
