// MixUp (Zhang et al., arXiv:1710.09412) and CutMix (Yun et al., arXiv:1905.04899) of a batch, as torchvision's v2 transforms
// compute them: each image meets the one before it, the first the last. Pure. Not here: targets (tasks/mixed.ts).
import type { HostValues } from '../tensor/host.ts'
import { philox, Rng } from '../tensor/philox.ts'
import { exp, log } from '../tensor/portable.ts'

/** Of each of them the alpha of its Beta(alpha, alpha); 0 is none. With both, a batch gets one of them at even odds. */
export interface MixingOptions {
  readonly mixup: number
  readonly cutmix: number
}

/** How the images of a batch are mixed. */
export interface Mix {
  /** How much of an image, and of its target, is its own. */
  readonly share: number
  /** The part that is cut out of the other image, in pixels, ends not included; absent where pixels are averaged. */
  readonly box?: { readonly x1: number; readonly y1: number; readonly x2: number; readonly y2: number }
}

/**
 * A number of Beta(alpha, alpha), the same bits in every engine. (1 + t / sqrt(2 alpha + t^2)) / 2 of Student's t with 2 alpha
 * degrees of freedom, which Bailey's polar method draws: t^2 = 2 alpha (u^(-1 / alpha) - 1) cos^2 (Math. Comp. 62, 1994).
 */
export function drawBeta(alpha: number, rng: Rng): number {
  let [x, size] = [0, 0]
  while (size === 0 || size > 1) {
    x = 2 * rng.uniform() - 1
    const y = 2 * rng.uniform() - 1
    size = x * x + y * y
  }
  const odds = (exp(-log(1 - rng.uniform()) / alpha) - 1) * ((x * x) / size)
  const half = Math.sqrt(1 - 1 / (1 + odds)) / 2
  return x < 0 ? 0.5 - half : 0.5 + half
}

/** The random numbers of a batch in an epoch; the tag keeps them apart from all other streams. */
export function mixRng(seed: number, epoch: number, batch: number): Rng {
  const key = new Uint32Array(4)
  philox(batch >>> 0, epoch >>> 0, 0x313c, 0, seed >>> 0, 0, key)
  return new Rng(key[0]!, key[1]!)
}

/** CutMix's box around (x, y) for a share of `share` of an image's own, and what share is left where it is cut at the edges. */
export function cutAround(x: number, y: number, share: number, height: number, width: number): Required<Mix> {
  const r = 0.5 * Math.sqrt(1 - share)
  const [halfWidth, halfHeight] = [Math.floor(r * width), Math.floor(r * height)]
  const box = {
    x1: Math.max(x - halfWidth, 0),
    y1: Math.max(y - halfHeight, 0),
    x2: Math.min(x + halfWidth, width),
    y2: Math.min(y + halfHeight, height),
  }
  return { share: 1 - ((box.x2 - box.x1) * (box.y2 - box.y1)) / (width * height), box }
}

/** How a batch of images of this size is mixed. One of the two alphas must be above 0. */
export function drawMix({ mixup, cutmix }: MixingOptions, height: number, width: number, rng: Rng): Mix {
  const cuts = cutmix > 0 && (mixup === 0 || rng.below(2) === 1)
  const share = drawBeta(cuts ? cutmix : mixup, rng)
  return cuts ? cutAround(rng.below(width), rng.below(height), share, height, width) : { share }
}

/** New images (B, C, H, W), mixed. */
export function mixImages({ data, shape }: HostValues, { share, box }: Mix): HostValues {
  const [count, , height, width] = shape as [number, number, number, number]
  const each = data.length / Math.max(1, count)
  const mixed = new Float32Array(data.length)
  if (box) mixed.set(data)
  const rest = 1 - share
  for (let b = 0; b < count; b++) {
    const own = b * each
    const other = ((b + count - 1) % count) * each
    if (!box) for (let i = 0; i < each; i++) mixed[own + i] = share * data[own + i]! + rest * data[other + i]!
    else
      for (let row = 0; row < each; row += width) {
        const y = (row / width) % height
        if (y < box.y1 || y >= box.y2) continue
        mixed.set(data.subarray(other + row + box.x1, other + row + box.x2), own + row + box.x1)
      }
  }
  return { data: mixed, shape }
}
