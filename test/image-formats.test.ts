// What an image file is, by its content: formats that are read with Pillow's pixels, all else named, limits before decoding.
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BrokenImage, decodeFile } from 'vitune'
import { checkBytes, MOST_BYTES, MOST_PIXELS, withBytes, withPixels } from '../src/platform/image-budget.ts'
import { headerOf } from '../src/platform/image-header.ts'

const test = suite<{ folder: string }>('image-formats')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-formats-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true }))

const formats = fileURLToPath(new URL('fixtures/formats/', import.meta.url))
const { Pillow: _, ...stored } = JSON.parse(readFileSync(join(formats, 'values.json'), 'utf8')) as Record<
  string,
  { width: number; height: number; rgb: string }
>

/** Why a file with these bytes is not decoded. */
async function reasonFor(folder: string, bytes: Uint8Array | string, name = 'a.jpg'): Promise<string> {
  writeFileSync(join(folder, name), bytes)
  return decodeFile(join(folder, name)).then(
    () => 'decoded',
    (error) => {
      assert.instance(error, BrokenImage, String(error))
      return (error as BrokenImage).reason
    },
  )
}

test('GIF, BMP, TIFF, animated PNG and WebP, and JPEG of another ending have the pixels that Pillow gives', async () => {
  const names = readdirSync(formats).filter((name) => name !== 'values.json')
  assert.ok(names.length >= 30)
  for (const name of names) {
    const { width, height, rgb } = stored[name]!
    const found = await decodeFile(join(formats, name))
    assert.equal([found.width, found.height], [width, height], name)
    const expected = Buffer.from(rgb, 'base64')
    const worst = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - found.data[i]!)), 0)
    assert.is(found.data.length, expected.length)
    // Decoders of AVIF round differently.
    assert.ok(worst <= (name.endsWith('.avif') ? 1 : 0), `${name}: ${worst}`)
  }
})

test('a header gives the size before anything is decoded, in every format', async ({ folder }) => {
  const images = fileURLToPath(new URL('fixtures/images/', import.meta.url))
  for (const file of [formats, images].flatMap((at) => readdirSync(at).map((name) => join(at, name)))) {
    if (/\.(json|safetensors)$/.test(file)) continue
    const { width, height } = headerOf(readFileSync(file))
    const { width: w, height: h } = await sharp(file)
      .metadata()
      .catch(() => decodeFile(file))
    // sharp gives the part that the screen has.
    if (!file.endsWith('beyond-the-screen.gif')) assert.equal([width, height], [w, h], file)
  }
  const grid = sharp({ create: { width: 700, height: 300, channels: 3, background: 'red' } })
  for (const format of ['webp', 'avif', 'tiff', 'jpeg', 'gif'] as const) {
    const bytes = await grid
      .clone()
      .toFormat(format, format === 'tiff' ? { bigtiff: true } : {})
      .toBuffer()
    assert.equal({ ...headerOf(bytes), format: 0 }, { width: 700, height: 300, format: 0 }, format)
  }
  writeFileSync(join(folder, 'lossy.webp'), await grid.webp({ lossless: false, quality: 3 }).toBuffer())
  assert.is((await decodeFile(join(folder, 'lossy.webp'))).width, 700)
})

test('what is no picture that can be read is named for what it is, whatever its name says', async ({ folder }) => {
  const zeros = '\0'.repeat(600)
  const cases: [string | Uint8Array, RegExp][] = [
    ['', /it is empty/],
    ['<svg xmlns="http://www.w3.org/2000/svg"/>', /an SVG drawing, no pixels; export it as PNG/],
    ['\ufeff<?xml version="1.0"?>\n<!-- made by -->\n<svg:svg xmlns:svg="x"/>', /an SVG drawing/],
    [`<?xml?>${'<!>'.repeat(160)}<svg`, /XML, no picture/],
    ['\0\0\0\x18ftypheic\0\0\0\0mif1heic', /it is HEIC; convert it to JPEG or PNG/],
    ['\0\0\0\x18ftypmif1\0\0\0\0mif1heic', /it is HEIC/],
    ['\0\0\0\x18ftypmp42\0\0\0\0isommp42', /a video/],
    [Uint8Array.of(0xff, 0x0a, 1, 2), /JPEG XL/],
    ['%PDF-1.7', /a PDF document/],
    ['8BPS\0\x01', /a Photoshop file/],
    ['PK\x03\x04aa', /a ZIP archive; unpack it/],
    [Uint8Array.of(0x1f, 0x8b, 8, 0), /an archive/],
    [`${'a'.repeat(257)}ustar`, /an archive/],
    ['<!DOCTYPE html><title>404</title><svg ></svg>', /a web page, no picture/],
    ['{"error": "not found"}', /text, no picture/],
    [
      'version https://git-lfs.github.com/spec/v1\noid sha256:0',
      /a Git LFS pointer in place of the picture; run git lfs pull/,
    ],
    [zeros, /nothing but zeros/],
    [`${zeros.slice(0, 128)}DICM`, /a DICOM file/],
    [Buffer.from('II*\0\x10\0\0\0CR\x02\0', 'latin1'), /a camera's raw file/],
    ['P6\n2 2\n255\n', /PNM/],
    [Uint8Array.of(200, 201, 202, 203), /no known image format/],
    ['BMW, a maker of cars', /text, no picture/],
  ]
  for (const [bytes, rule] of cases) assert.match(await reasonFor(folder, bytes, 'a.png'), rule)
})

test('a raw file that begins as TIFF is named, not read as the thumbnail that it begins with', async ({ folder }) => {
  const entry = (tag: number, value: number) => {
    const bytes = Buffer.alloc(12)
    bytes.writeUInt16LE(tag, 0)
    bytes.writeUInt16LE(4, 2)
    bytes.writeUInt32LE(1, 4)
    bytes.writeUInt32LE(value, 8)
    return bytes
  }
  const tiff = (...entries: Buffer[]) =>
    Buffer.concat([Buffer.from([0x49, 0x49, 42, 0, 8, 0, 0, 0, entries.length, 0]), ...entries, Buffer.alloc(4)])
  const small = [entry(254, 1), entry(256, 160), entry(257, 120)]
  for (const last of [entry(330, 400), entry(50706, 0x401)]) {
    assert.match(await reasonFor(folder, tiff(...small, last)), /a camera's raw file; convert it/)
  }
  assert.match(await reasonFor(folder, tiff(entry(254, 0))), /a broken TIFF, its header gives no size/)
})

test('a broken file is told in the same words, whatever its decoder says', async ({ folder }) => {
  const images = fileURLToPath(new URL('fixtures/images/', import.meta.url))
  const png = readFileSync(join(images, 'image.png'))
  for (const length of [60, 400, 9000]) {
    assert.match(
      await reasonFor(folder, png.subarray(0, length)),
      /^it is a broken PNG, or of a kind that is not read( \(.+\))?$/,
    )
  }
  const jpeg = readFileSync(join(images, 'plain.jpg'))
  assert.match(await reasonFor(folder, jpeg.subarray(0, jpeg.length - 20)), /^it is a broken JPEG, or .+/)
})

test('a broken file of any format is named, at whichever byte it ends', async ({ folder }) => {
  for (const name of [
    'still.gif',
    'interlaced.gif',
    'rgb.bmp',
    'palette.bmp',
    'lzw.tif',
    'animated.png',
    'odd.jfif',
    '444.avif',
  ]) {
    const whole = readFileSync(join(formats, name))
    for (const part of [9, 30, 60, 0.5, 0.8]) {
      const bytes = whole.subarray(0, part < 1 ? Math.floor(whole.length * part) : part)
      // The animation after the default image may be missing.
      if (name === 'animated.png' && (part === 0.5 || part === 0.8)) continue
      assert.not.equal(await reasonFor(folder, bytes), 'decoded', `${name}, ${bytes.length} bytes`)
    }
  }
})

test('a picture of too many pixels is refused by its header, a file of too many bytes unread', async ({ folder }) => {
  const png = readFileSync(join(formats, 'animated.png'))
  const wide = (bytes: Buffer, at: number, write: 'writeUInt32BE' | 'writeUInt32LE' | 'writeUInt16LE') => {
    const copy = Buffer.from(bytes)
    copy[write](write === 'writeUInt16LE' ? 60_000 : 30_000, at)
    copy[write](write === 'writeUInt16LE' ? 60_000 : 30_000, at + (write === 'writeUInt16LE' ? 2 : 4))
    return copy
  }
  const said = /it has 30000 x 30000 pixels \(900 million\), more than 179 million; make it smaller/
  assert.match(await reasonFor(folder, wide(png, 16, 'writeUInt32BE')), said)
  assert.match(await reasonFor(folder, wide(readFileSync(join(formats, 'rgb.bmp')), 18, 'writeUInt32LE')), said)
  const gif = readFileSync(join(formats, 'still.gif'))
  assert.match(await reasonFor(folder, wide(gif, 6, 'writeUInt16LE')), /60000 x 60000 pixels \(3600 million\)/)
  // The picture, not the screen.
  const own = gif.indexOf(',', 13)
  assert.match(await reasonFor(folder, wide(gif, own + 5, 'writeUInt16LE')), /60000 x 60000 pixels/)

  const path = join(folder, 'sparse.jpg')
  const file = openSync(path, 'w')
  ftruncateSync(file, 10 * 2 ** 30)
  closeSync(file)
  const before = process.memoryUsage().rss
  const reason = await decodeFile(path).then(String, (error) => (error as BrokenImage).reason)
  assert.match(reason, /it has 10737 million bytes, more than 537 million; make it smaller/)
  assert.ok(process.memoryUsage().rss - before < 50e6)
  assert.throws(() => checkBytes(MOST_BYTES + 1))
})

test('what is decoded at once stays within the limits, and everybody has a turn, also after a failure', async () => {
  for (const [within, most] of [
    [(n: number, body: () => Promise<void>) => withPixels(n, 1, body), MOST_PIXELS],
    [withBytes, MOST_BYTES],
  ] as const) {
    let now = 0
    let highest = 0
    let done = 0
    const one = (part: number, i: number) =>
      within(Math.floor(most * part), async () => {
        now += part
        highest = Math.max(highest, now)
        await new Promise((resolve) => setTimeout(resolve, 2))
        now -= part
        done++
        if (i % 3 === 0) throw new Error('broken')
      }).catch((error) => assert.is(error.message, 'broken'))
    await Promise.all([0.4, 1, 0.3, 0.3, 0.6, 0.01, 1, 0.5].map(one))
    assert.is(done, 8)
    assert.ok(highest > 0.9 && highest <= 1.001, `${highest}`)
    await isTooLarge(within(most + 1, async () => {}))
  }
})

async function isTooLarge(promise: Promise<unknown>): Promise<void> {
  assert.match(await promise.then(String, (error) => error.message), /million; make it smaller/)
}

test.run()
