// An animated PNG without its animation: browsers show its first frame, Node's and Python's decoders its default image.

const animation = new Set([0x6163544c /* acTL */, 0x6663544c /* fcTL */, 0x66644154 /* fdAT */])

/** The file with what only an animation needs left out; the file itself where there is none. */
export function withoutAnimation(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const parts: Uint8Array[] = [bytes.subarray(0, 8)]
  let at = 8
  while (at + 12 <= bytes.length) {
    const end = Math.min(bytes.length, at + 12 + view.getUint32(at))
    if (!animation.has(view.getUint32(at + 4))) parts.push(bytes.subarray(at, end))
    at = end
  }
  const total = parts.reduce((sum, part) => sum + part.length, 0)
  if (total === at) return bytes
  const out = new Uint8Array(total)
  for (let i = 0, to = 0; i < parts.length; to += parts[i++]!.length) out.set(parts[i]!, to)
  return out
}
