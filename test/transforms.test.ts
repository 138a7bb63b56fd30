// Decoding, resizing and preprocessing against stored values of Pillow and of Hugging Face's processors.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokenImage, decodeFile, InputError, type RgbImage } from 'vitune'
import {
  evalTransform,
  outputSize,
  parseTimmPreprocessor,
  randomCrop,
  resizeImage,
  type Transform,
  trainTransform,
  withInputSize,
} from 'vitune/data'
import { openSafetensors } from 'vitune/io'
import { parsePreprocessor } from 'vitune/models'
import { Rng } from 'vitune/tensor'

const folder = fileURLToPath(new URL('fixtures/images/', import.meta.url))
const stored = await openSafetensors(`${folder}values.safetensors`)
const notes = JSON.parse(readFileSync(`${folder}values.json`, 'utf8'))

const apply = (transform: Transform, image: RgbImage, rng = new Rng(0)): Float32Array => {
  const out = new Float32Array(3 * transform.height * transform.width)
  transform.apply(image, rng, out)
  return out
}

/** An image whose red is its column, green its row, blue 7. */
function grid(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < width * height; i++) data.set([i % width, Math.floor(i / width), 7], i * 3)
  return { width, height, data }
}

async function reasonOf(file: string): Promise<string> {
  try {
    await decodeFile(file)
  } catch (error) {
    assert.instance(error, BrokenImage)
    return (error as Error).message
  }
  throw new Error(`${file} was decoded`)
}

test('grey, alpha, palette, 16-bit, turned, inked and WebP files decode to the pixels Pillow gives', async () => {
  const names = stored.names().filter((name) => name.startsWith('files/'))
  assert.ok(names.length >= 9)
  for (const name of names) {
    const image = await decodeFile(folder + name.slice('files/'.length))
    assert.equal([image.height, image.width, 3], stored.info(name).shape, name)
    const expected = await stored.read(name)
    let worst = 0
    for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(expected[i]! - image.data[i]!))
    // Two builds of one JPEG decoder may round the colour transform differently.
    assert.ok(worst <= (name.endsWith('.jpg') ? 2 : 0), `${name}: off by ${worst}`)
  }
})

test('an image that is cut short, empty or no image is named', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'vitune-broken-'))
  const whole = readFileSync(`${folder}plain.jpg`)
  const cases: [string, Uint8Array][] = [
    ['cut.jpg', whole.subarray(0, whole.length - 20)],
    ['cut.png', readFileSync(`${folder}image.png`).subarray(0, 9000)],
    ['empty.jpg', new Uint8Array(0)],
    ['text.jpg', new TextEncoder().encode('<html>404</html>')],
  ]
  for (const [name, bytes] of cases) {
    writeFileSync(`${dir}/${name}`, bytes)
    assert.ok((await reasonOf(`${dir}/${name}`)).startsWith(`${dir}/${name}: cannot be decoded`), name)
  }
  assert.match(await reasonOf(`${dir}/none.jpg`), 'ENOENT')
  rmSync(dir, { recursive: true })
})

test('the first frame of an animation is taken', async () => {
  const frame = (level: number) => Buffer.alloc(4 * 4 * 3, level)
  const raw = { width: 4, height: 8, channels: 3 as const, pageHeight: 4 }
  const bytes = await sharp(Buffer.concat([frame(200), frame(10)]), { raw })
    .webp({ lossless: true })
    .toBuffer()
  assert.is((await sharp(bytes).metadata()).pages, 2)
  const dir = mkdtempSync(join(tmpdir(), 'vitune-animated-'))
  writeFileSync(`${dir}/a.webp`, bytes)
  const image = await decodeFile(`${dir}/a.webp`)
  rmSync(dir, { recursive: true })
  assert.equal([image.width, image.height, image.data[0]], [4, 4, 200])
})

test('resizing equals Pillow bit for bit', async () => {
  const sources: Record<string, RgbImage> = {
    image: await decodeFile(`${folder}image.png`),
    small: await decodeFile(`${folder}small.png`),
  }
  let tested = 0
  for (const name of stored.names()) {
    const match = /^(image|small)\.(bicubic|bilinear)\.(\d+)x(\d+)$/.exec(name)
    if (!match) continue
    const [, source, filter, width, height] = match
    const got = resizeImage(sources[source!]!, {
      width: Number(width),
      height: Number(height),
      filter: filter as 'bicubic' | 'bilinear',
    })
    assert.equal(Float32Array.from(got.data), await stored.read(name), name)
    tested++
  }
  assert.ok(tested >= 12)
})

test('the order of passes is that of Pillow 13, and of Pillow 12 where that is asked for', async () => {
  const older = await openSafetensors(`${folder}../pillow-12/values.safetensors`)
  const image = await decodeFile(`${folder}image.png`)
  for (const name of older.names()) {
    const [, filter, width, height] = /^image\.(bicubic|bilinear)\.(\d+)x(\d+)$/.exec(name)!
    const to = { width: Number(width), height: Number(height), filter: filter as 'bicubic' | 'bilinear' }
    const expected = await older.read(name)
    assert.equal(Float32Array.from(resizeImage(image, { ...to, pillow: 12 }).data), expected, name)
    const now = resizeImage(image, to).data
    assert.ok(
      expected.some((value, i) => value !== now[i]),
      `${name}: the versions differ`,
    )
  }
  assert.is(older.names().length, 6)
})

test('a crop is resized as if nothing were around it, and a window is that part of the whole result', async () => {
  const image = await decodeFile(`${folder}image.png`)
  const crop = { left: 13, top: 5, width: 61, height: 90 }
  const alone = { width: crop.width, height: crop.height, data: new Uint8Array(crop.width * crop.height * 3) }
  for (let y = 0; y < crop.height; y++) {
    const from = ((crop.top + y) * image.width + crop.left) * 3
    alone.data.set(image.data.subarray(from, from + crop.width * 3), y * crop.width * 3)
  }
  // Both shrink, one grows, one stays, neither changes, and the height shrinks far more (other order of passes).
  const sizes = [
    [32, 40],
    [67, 40],
    [17, 101],
    [61, 33],
    [20, 90],
    [61, 90],
    [58, 12],
    [1, 1],
  ]
  for (const filter of ['bicubic', 'bilinear', 'lanczos', 'box', 'hamming'] as const) {
    for (const [width, height] of sizes as [number, number][]) {
      const whole = resizeImage(alone, { width, height, filter })
      const label = `${filter} ${width} x ${height}`
      assert.equal(resizeImage(image, { width, height, filter, crop }).data, whole.data, label)
      if (width < 4 || height < 4) continue
      const window = { left: 1, top: 2, width: width - 3, height: height - 3 }
      const part = resizeImage(image, { width, height, filter, crop, window })
      for (let y = 0; y < window.height; y++) {
        const from = ((y + window.top) * width + window.left) * 3
        assert.equal(
          part.data.subarray(y * window.width * 3, (y + 1) * window.width * 3),
          whole.data.subarray(from, from + window.width * 3),
          `${label} row ${y}`,
        )
      }
    }
  }
})

test('sizes and parts that make no sense are refused', () => {
  const image = grid(8, 6)
  const filter = 'bicubic'
  const part = { left: 0, top: 0, width: 8, height: 6 }
  assert.throws(() => resizeImage(image, { width: 0, height: 4, filter }), /whole and positive, got 0 x 4/)
  assert.throws(() => resizeImage(image, { width: 2.5, height: 4, filter }), /whole and positive/)
  assert.throws(
    () => resizeImage(image, { width: 4, height: 4, filter, crop: { ...part, left: 1 } }),
    /crop must lie in/,
  )
  assert.throws(() => resizeImage(image, { width: 4, height: 4, filter, window: part }), /window must lie in/)
  assert.throws(() => resizeImage({ ...image, width: 9 }, { width: 4, height: 4, filter }), /three bytes a pixel/)
})

test('the evaluation transform equals Hugging Face processors', async () => {
  const used: [string, { source: string; config: unknown }][] = Object.entries(notes.processors)
  assert.ok(used.length >= 6)
  for (const [name, { source, config }] of used) {
    const image = await decodeFile(folder + source)
    const transform = evalTransform(parsePreprocessor(config, 'vit'))
    const key = `processor.${name}`
    assert.equal([3, transform.height, transform.width], stored.info(key).shape)
    const got = apply(transform, image)
    const expected = await stored.read(key)
    for (let i = 0; i < got.length; i++) {
      assert.ok(Math.abs(got[i]! - expected[i]!) < 1e-6, `${name} at ${i}: ${got[i]} and ${expected[i]}`)
    }
  }
})

test('a file that is silent is read with the defaults of its processor, and none with those of the model type', () => {
  const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
  const half = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }
  const size = (n: number) => ({ height: n, width: n })
  const scale = 1 / 255
  const vit = { resize: size(224), filter: 'bilinear', crop: null, scale, ...half }
  assert.equal(parsePreprocessor(undefined, 'vit'), vit)
  assert.equal(parsePreprocessor({}, 'vit'), vit)
  assert.equal(parsePreprocessor(undefined, 'another'), vit)
  const dinov2 = { resize: { shortest: 256 }, filter: 'bicubic', crop: size(224), scale, ...imagenet }
  assert.equal(parsePreprocessor(undefined, 'dinov2'), dinov2)
  assert.equal(parsePreprocessor(undefined, 'dinov2_with_registers'), dinov2)
  assert.equal(parsePreprocessor(undefined, 'deit'), { ...dinov2, resize: size(256) })
  // The oldest files have plain numbers and no rescale_factor.
  const old = {
    feature_extractor_type: 'DeiTFeatureExtractor',
    size: 256,
    crop_size: 224,
    resample: 3,
    do_center_crop: true,
  }
  assert.equal(parsePreprocessor(old, 'vit'), { ...dinov2, resize: size(256), ...half })
  assert.equal(
    parsePreprocessor(
      { image_processor_type: 'BitImageProcessorFast', size: 300, ...{ image_mean: 0.5, image_std: 0.5 } },
      'vit',
    ),
    {
      ...dinov2,
      resize: { shortest: 300 },
      ...half,
    },
  )
  assert.equal(parsePreprocessor({ do_normalize: false, do_rescale: false, size: { height: 8, width: 9 } }, 'vit'), {
    resize: { height: 8, width: 9 },
    filter: 'bilinear',
    crop: null,
    scale: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1],
  })
  assert.equal(parsePreprocessor({ do_resize: false, do_center_crop: true, crop_size: 32 }, 'vit').resize, null)
})

test('a preprocessor file that makes no sense is refused with its key', () => {
  const cases: [unknown, string][] = [
    [[], 'must be a JSON object'],
    [{ size: -3 }, 'size must be a whole number of pixels'],
    [{ size: 1e9 }, 'size must be a whole number of pixels'],
    [{ size: 'big' }, 'size must be a number, { shortest_edge } or { height, width }'],
    [{ size: { shortest_edge: 0 } }, 'size.shortest_edge must be'],
    [{ size: { height: 2 } }, 'size must be a number, { shortest_edge }'],
    [{ crop_size: [2, 2] }, 'crop_size must be a number or'],
    [{ resample: 0 }, 'resample must be one of 1, 2, 3, 4, 5'],
    [{ resample: 'bicubic' }, 'resample must be one of'],
    [{ resample: true }, 'resample must be one of'],
    [{ resample: [2] }, 'resample must be one of'],
    [{ image_mean: [0.5, 0.5] }, 'image_mean must be three numbers'],
    [{ image_std: [0.5, 0, 0.5] }, 'image_std must be three positive numbers'],
    [{ image_std: [0.5, '1', 0.5] }, 'image_std must be three positive numbers'],
    [{ rescale_factor: 0 }, 'rescale_factor must be a positive number'],
    [{ do_resize: 'yes' }, 'do_resize must be true or false'],
    [{ size: { shortest_edge: 8, longest_edge: 16 } }, 'size.longest_edge must be left out'],
    [{ do_resize: false }, 'got neither a centre crop nor an exact size'],
    [{ crop_pct: 0.9 }, 'crop_pct must be left out'],
    [{ do_flip_channel_order: true }, 'do_flip_channel_order must be left out'],
    [{ do_pad: true }, 'do_pad must be left out'],
    [{ do_grayscale: true }, 'do_grayscale must be left out'],
  ]
  for (const [json, expected] of cases) {
    assert.throws(
      () => parsePreprocessor(json, 'vit'),
      (error: Error) => error instanceof InputError && error.message.includes(expected),
      expected,
    )
  }
})

test('another input size keeps the part of the image that is seen', () => {
  const dinov2 = withInputSize(parsePreprocessor(undefined, 'dinov2'), 448)
  assert.equal([dinov2.resize, dinov2.crop], [{ shortest: 512 }, { height: 448, width: 448 }])
  const deit = withInputSize(parsePreprocessor(undefined, 'deit'), 112)
  assert.equal(
    [deit.resize, deit.crop],
    [
      { height: 128, width: 128 },
      { height: 112, width: 112 },
    ],
  )
  assert.equal(outputSize(withInputSize(parsePreprocessor(undefined, 'vit'), 32)), { height: 32, width: 32 })
  assert.throws(() => withInputSize(dinov2, 0.5), /whole number of pixels/)
})

test('a timm configuration is understood', () => {
  const read = parseTimmPreprocessor({
    input_size: [3, 224, 224],
    interpolation: 'bicubic',
    crop_pct: 0.9,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  })
  assert.equal(
    [read.resize, read.crop, read.filter, read.mean],
    [{ shortest: 248 }, { height: 224, width: 224 }, 'bicubic', [0.5, 0.5, 0.5]],
  )
  assert.equal(parseTimmPreprocessor({ input_size: [3, 32, 32], crop_pct: 1, crop_mode: 'squash' }).resize, {
    height: 32,
    width: 32,
  })
  assert.throws(() => parseTimmPreprocessor({ crop_pct: 0 }), /crop_pct must be/)
})

test('random crops keep to the area and the aspect, and fall back to the centre', () => {
  const rng = new Rng(5)
  const seen = new Set<string>()
  for (let i = 0; i < 500; i++) {
    const crop = randomCrop(401, 300, rng)
    const part = (crop.width * crop.height) / (401 * 300)
    assert.ok(part > 0.075 && part <= 1, `${part}`)
    const aspect = crop.width / crop.height
    assert.ok(aspect > 0.73 && aspect < 1.37, `${aspect}`)
    assert.ok(crop.left >= 0 && crop.top >= 0 && crop.left + crop.width <= 401 && crop.top + crop.height <= 300)
    seen.add(JSON.stringify(crop))
  }
  assert.ok(seen.size > 490)
  assert.equal(randomCrop(1000, 10, rng, [0.9, 1]), { left: 493, top: 0, width: 13, height: 10 })
  assert.equal(randomCrop(10, 1000, rng, [0.9, 1]), { left: 0, top: 493, width: 10, height: 13 })
  assert.equal(randomCrop(1, 1, rng), { left: 0, top: 0, width: 1, height: 1 })
})

test('the training transform crops, mirrors half of the time and normalises, all from its random numbers', () => {
  const preprocess = {
    ...parsePreprocessor(undefined, 'vit'),
    resize: { height: 9, width: 7 },
    mean: [0, 0, 0],
    std: [1, 1, 1],
    scale: 1,
  } as const
  const image = grid(31, 24)
  const transform = trainTransform(preprocess)
  assert.equal([transform.height, transform.width, transform.random], [9, 7, true])
  assert.equal(apply(transform, image, new Rng(3, 1)), apply(transform, image, new Rng(3, 1)))
  let mirrored = 0
  for (let i = 0; i < 200; i++) {
    const out = apply(transform, image, new Rng(9, i))
    if (out[0]! > out[6]!) mirrored++
  }
  assert.ok(mirrored > 75 && mirrored < 125, `${mirrored}`)
  // The whole image, always mirrored: columns run backwards, rows do not.
  const whole = trainTransform(preprocess, { area: [1, 1], aspect: [31 / 24, 31 / 24], flip: 1 })
  const straight = resizeImage(image, { width: 7, height: 9, filter: 'bilinear' })
  const out = apply(whole, image)
  for (let y = 0; y < 9; y++) {
    for (let x = 0; x < 7; x++) {
      for (let c = 0; c < 3; c++) assert.is(out[c * 63 + y * 7 + x], straight.data[(y * 7 + 6 - x) * 3 + c])
    }
  }
  assert.throws(() => transform.apply(image, new Rng(0), new Float32Array(5)), /needs 189 values, got 5/)
})

test.run()
