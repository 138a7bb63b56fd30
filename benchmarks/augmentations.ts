// What each augmentation costs on one thread, for 224 x 224 px out of a photograph's size, and what it looks like: writes
// docs/augmentations.png, a row a change (the drawing as it is, then seven draws). Run by hand after npm run build:
// node --import tsx benchmarks/augmentations.ts
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import type { RgbImage } from 'vitune'
import {
  type AugmentationName,
  type Augmentations,
  applyChanges,
  augmentationNames,
  augmentationPresets,
  drawChanges,
  resizeImage,
  sampleRng,
  trainTransform,
} from 'vitune/data'
import { parsePreprocessor } from 'vitune/models'
import { Rng } from 'vitune/tensor'

/** Each change by itself, on every image. */
const always: { readonly [K in AugmentationName]: Augmentations } = {
  crop: { crop: {} },
  flip: { flip: 1 },
  verticalFlip: { verticalFlip: 1 },
  colorJitter: { colorJitter: { p: 1 } },
  colorJiggle: { colorJiggle: { p: 1 } },
  photometric: { photometric: {} },
  affine: { affine: {} },
  blur: { blur: { p: 1 } },
  noise: { noise: { p: 1 } },
  randAugment: { randAugment: {} },
}

const sheet = fileURLToPath(new URL('data/emoji-fluent.png', import.meta.url))
const { data: emoji, info } = await sharp(sheet).removeAlpha().raw().toBuffer({ resolveWithObject: true })
const [tile, side, draws, gap] = [32, 64, 7, 2]

/** Drawing `at` of the sheet, twice as large. */
function drawing(at: number): RgbImage {
  const data = new Uint8Array(tile * tile * 3)
  const [left, top] = [(at % 25) * tile, Math.floor(at / 25) * tile]
  for (let y = 0; y < tile; y++) {
    const from = ((top + y) * info.width + left) * 3
    data.set(emoji.subarray(from, from + tile * 3), y * tile * 3)
  }
  return resizeImage({ width: tile, height: tile, data }, { width: side, height: side, filter: 'bicubic' })
}

const width = (draws + 1) * (side + gap) - gap
const height = augmentationNames.length * (side + gap) - gap
const picture = new Uint8Array(width * height * 3).fill(255)
for (const [row, name] of augmentationNames.entries()) {
  const image = drawing(180 + row * 7)
  for (let column = 0; column <= draws; column++) {
    const drawn = column === 0 ? {} : drawChanges(always[name], image, image, sampleRng(0, column, row))
    const part = drawn.crop
      ? resizeImage(image, { width: side, height: side, filter: 'bilinear', crop: drawn.crop })
      : { ...image, data: image.data.slice() }
    const { data } = applyChanges(part, drawn)
    for (let y = 0; y < side; y++) {
      const to = ((row * (side + gap) + y) * width + column * (side + gap)) * 3
      picture.set(data.subarray(y * side * 3, (y + 1) * side * 3), to)
    }
  }
}
await sharp(picture, { raw: { width, height, channels: 3 } })
  .png({ palette: true, colours: 64, compressionLevel: 9 })
  .toFile(fileURLToPath(new URL('../docs/augmentations.png', import.meta.url)))

/** Soft colours with noise, of a photograph's size. */
const rng = new Rng(1)
const photo = { width: 500, height: 375, data: new Uint8Array(500 * 375 * 3) }
for (let i = 0; i < photo.data.length; i++) photo.data[i] = 128 + 100 * Math.sin(i / 1000) + 20 * rng.uniform()
const preprocess = parsePreprocessor(undefined, 'vit')
const out = new Float32Array(3 * 224 * 224)

/** Milliseconds an image, the median of 100. */
function cost(augmentations: Augmentations): number {
  const transform = trainTransform(preprocess, augmentations)
  const times = Array.from({ length: 150 }, (_, i) => {
    const begun = performance.now()
    transform.apply(photo, sampleRng(0, 0, i), out)
    return performance.now() - begun
  }).slice(50)
  return times.sort((a, b) => a - b)[50]!
}

const plain = cost({})
console.log(`resize and normalise: ${plain.toFixed(1)} ms`)
for (const name of augmentationNames) {
  const more = cost(always[name]) - plain
  console.log(`${name.padEnd(12)} ${more >= 0 ? '+' : ''}${more.toFixed(1)} ms`)
}
for (const [name, preset] of Object.entries(augmentationPresets))
  console.log(`${name}: ${cost(preset).toFixed(1)} ms in all`)
