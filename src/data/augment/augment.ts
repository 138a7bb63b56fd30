// All changes of a training image after it was cropped and resized, one after the other on 8-bit levels before they are
// normalised: photometric, colorJitter, colorJiggle, affine, flip, verticalFlip, randAugment, blur, noise. That is OTX's order;
// getitune's mirrors before it changes colours, which gives the same pixels.
import type { RgbImage } from '../../platform/platform.ts'
import { Rng } from '../../tensor/philox.ts'
import { gaussianBlur } from './blur.ts'
import { brightness, contrast, hue, permute, saturation } from './colour.ts'
import type { DrawnChanges, DrawnPhotometric } from './draw.ts'
import { bilinearWarp, inverseAffine, mirror, turnOver } from './geometry.ts'
import { colorJiggle, type Jiggle } from './jiggle.ts'
import { addNoise, normals } from './noise.ts'
import { applyOperations } from './rand-augment.ts'

/** What affine changes leave behind: OTX's grey. */
const FILL = 114

/** torchvision's ColorJitter: factors in the drawn order. In place. */
export function colorJitter(data: Uint8Array, { order, ...by }: Jiggle): void {
  const steps = [
    () => brightness(data, by.brightness),
    () => contrast(data, by.contrast),
    () => saturation(data, by.saturation),
    () => hue(data, by.hue),
  ]
  for (const step of order) steps[step]!()
}

/** torchvision's RandomPhotometricDistort. In place. */
export function photometric(data: Uint8Array, by: DrawnPhotometric): void {
  if (by.brightness !== undefined) brightness(data, by.brightness)
  if (by.contrast !== undefined && by.contrastFirst) contrast(data, by.contrast)
  if (by.saturation !== undefined) saturation(data, by.saturation)
  if (by.hue !== undefined) hue(data, by.hue)
  if (by.contrast !== undefined && !by.contrastFirst) contrast(data, by.contrast)
  if (by.channels) permute(data, by.channels)
}

/** The changed image; the given one may be changed in place. */
export function applyChanges(given: RgbImage, drawn: DrawnChanges): RgbImage {
  let image = given
  if (drawn.photometric) photometric(image.data, drawn.photometric)
  if (drawn.colorJitter) colorJitter(image.data, drawn.colorJitter)
  if (drawn.colorJiggle) colorJiggle(image.data, drawn.colorJiggle)
  if (drawn.affine) image = bilinearWarp(image, inverseAffine(drawn.affine), FILL)
  if (drawn.flip) mirror(image)
  if (drawn.verticalFlip) turnOver(image)
  if (drawn.randAugment) image = applyOperations(image, drawn.randAugment)
  if (drawn.blur) image = gaussianBlur(image, drawn.blur.kernel, drawn.blur.sigma)
  if (drawn.noise) {
    const { seed, sigma } = drawn.noise
    addNoise(image.data, normals(new Rng(seed), image.data.length), sigma)
  }
  return image
}
