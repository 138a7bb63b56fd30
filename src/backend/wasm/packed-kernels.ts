// Compiled kernel sets as rollup.config.mjs packs them: cut into parts, these in turns, deflated, in base64.
import { InputError } from '../../platform/errors.ts'

export interface PackedKernels {
  readonly packed: string
  /** In how many parts each is cut, and how many bytes each has. */
  readonly parts: number
  readonly sizes: readonly number[]
}

function inflater(): DecompressionStream {
  try {
    return new DecompressionStream('deflate-raw')
  } catch {
    throw new InputError('wasm: this engine cannot unpack the kernels (deflate-raw); use Node 20.12 or newer')
  }
}

/** The sets at `places`. */
export async function unpack(
  { packed, sizes, parts }: PackedKernels,
  places: readonly number[],
): Promise<Uint8Array<ArrayBuffer>[]> {
  const text = atob(packed)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i)
  const inflated = new Blob([bytes]).stream().pipeThrough(inflater())
  const all = new Uint8Array(await new Response(inflated).arrayBuffer())
  const sets = sizes.map((size) => new Uint8Array(size))
  let from = 0
  for (let part = 0; part < parts; part++) {
    for (const [i, size] of sizes.entries()) {
      const [start, end] = [Math.floor((size * part) / parts), Math.floor((size * (part + 1)) / parts)]
      sets[i]!.set(all.subarray(from, from + end - start), start)
      from += end - start
    }
  }
  return places.map((place) => sets[place]!)
}
