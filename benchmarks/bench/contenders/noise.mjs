// The same pseudo-random numbers for every contender, so that products can be compared. xorshift32: fast, good enough here.

/** `next(length, deviation, out)`: uniform numbers around 0, in `out` where it is given. The same seed gives the same series. */
export function noise(seed = 1) {
  let state = seed
  return (length, deviation, out = new Float32Array(length)) => {
    const scale = (deviation * Math.sqrt(3)) / 2147483648
    for (let i = 0; i < length; i++) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      out[i] = state * scale
    }
    return out
  }
}

/** A batch of one shape: images (B, 3, H, W) and labels (B). */
export function batchOf({ shape, batch }) {
  const images = noise(7)(batch * 3 * shape.image ** 2, 1)
  return { images, labels: Int32Array.from({ length: batch }, (_, i) => (i * 7) % shape.classes) }
}
