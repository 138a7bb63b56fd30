// Images from all that shows one in a browser, in a real headless Chromium: the pixels that Node reads.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeFile, toRgbImage } from 'vitune'
import { openPage } from './chromium.mjs'
import { fixtures } from './small-vit.ts'

async function withPage(body: (page: Page) => Promise<void>, ignore?: RegExp): Promise<void> {
  const { page, errors, close } = await openPage()
  try {
    await body(page)
    const found = errors.filter((error) => !ignore?.test(error))
    assert.equal(found, [])
  } finally {
    await close()
  }
}

/** In the page: pixels of an address, one way after another. */
async function readEachWay(address: string) {
  const url = '/dist/browser.js'
  const { toRgbImage, memoryDataset } = (await import(url)) as typeof import('vitune')
  const blob = await (await fetch(address)).blob()
  const bitmap = await createImageBitmap(blob)
  const { width, height } = bitmap
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext('2d')!
  context.drawImage(bitmap, 0, 0)
  const offscreen = new OffscreenCanvas(width, height)
  offscreen.getContext('2d')!.drawImage(bitmap, 0, 0)
  const element = new Image()
  element.src = address
  await element.decode()
  const frame = new VideoFrame(canvas, { timestamp: 0 })
  const video = document.createElement('video')
  video.muted = true
  video.srcObject = canvas.captureStream(30)
  // A stream has a frame for each time that something is drawn.
  const drawing = setInterval(() => context.drawImage(bitmap, 0, 0), 20)
  await video.play()
  clearInterval(drawing)
  const sources = {
    address: new URL(address, location.href).href,
    url: new URL(address, location.href),
    blob,
    file: new File([blob], 'a.png'),
    bitmap,
    canvas,
    offscreen,
    data: context.getImageData(0, 0, width, height),
    element,
    frame,
    video,
  }
  const out: Record<string, { width: number; height: number; data: number[] }> = {}
  for (const [name, source] of Object.entries(sources)) {
    const image = await toRgbImage(source)
    out[name] = { width: image.width, height: image.height, data: [...image.data] }
  }
  const dataset = memoryDataset({
    images: Object.values(sources),
    labels: [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0],
    classes: ['a', 'b'],
  })
  const bytes = (await Promise.all(Object.keys(sources).map((_, i) => dataset.image(i)))).map((i) => i.data.length)
  return { out, names: [dataset.file(1), dataset.file(3), dataset.file(4)], bytes }
}

test('every stored image has in a browser the pixels that it has in Node', () =>
  withPage(async (page) => {
    const names = ['images', 'formats'].flatMap((folder) =>
      readdirSync(join(fixtures, folder)).map((name) => `${folder}/${name}`),
    )
    const read = names.filter((name) => /\.(png|jpg|jfif|webp|gif|bmp|avif)$/.test(name))
    assert.ok(read.length >= 35)
    for (const name of read) {
      const { width, height, data } = await decodeFile(join(fixtures, name))
      const found = await page.evaluate(async (path) => {
        const url = '/dist/browser.js'
        const { toRgbImage } = (await import(url)) as typeof import('vitune')
        const image = await toRgbImage(new URL(path, location.href))
        return { width: image.width, height: image.height, data: [...image.data] }
      }, `/test/fixtures/${name}`)
      assert.equal([found.width, found.height], [width, height], name)
      const worst = found.data.reduce((most, v, i) => Math.max(most, Math.abs(v - data[i]!)), 0)
      assert.ok(worst <= (name.endsWith('.avif') ? 1 : 0), `${name}: ${worst}`)
    }
  }))

/** In the page: pixels of files, from their bytes and from image elements that show them; `gone` after the address has ended. */
async function readShown(files: number[][]) {
  const url = '/dist/browser.js'
  const { toRgbImage } = (await import(url)) as typeof import('vitune')
  const out: { file: number[]; element: number[]; gone: number[] }[] = []
  for (const bytes of files) {
    const blob = new Blob([Uint8Array.from(bytes)])
    const element = new Image()
    element.src = URL.createObjectURL(blob)
    await element.decode()
    const pixels = async (source: Blob | HTMLImageElement) => {
      const { width, height, data } = await toRgbImage(source)
      return [width, height, ...data]
    }
    const [file, shown] = [await pixels(blob), await pixels(element)]
    URL.revokeObjectURL(element.src)
    out.push({ file, element: shown, gone: await pixels(element) })
  }
  return out
}

/** 6 x 4 colours, with every alpha from none to all and a profile that is far from sRGB. */
async function oddPixels(): Promise<{ rgba: Uint8Array; png: Buffer }> {
  const rgba = Uint8Array.from({ length: 96 }, (_, i) =>
    i % 4 === 3 ? Math.min(255, ((i >> 2) % 6) * 51) : 40 + 2 * i,
  )
  const png = await sharp(rgba, { raw: { width: 6, height: 4, channels: 4 } })
    .withIccProfile('p3', { attach: true })
    .png()
    .toBuffer()
  return { rgba, png }
}

test('a WebP is turned in a browser as its EXIF says, and an element gives what its file gives', () =>
  withPage(async (page) => {
    const webps = await Promise.all(
      [1, 2, 3, 4, 5, 6, 7, 8].map((orientation) =>
        sharp(Buffer.from(Array.from({ length: 72 }, (_, i) => 3 * i)), { raw: { width: 6, height: 4, channels: 3 } })
          .withMetadata({ orientation })
          .webp({ lossless: true })
          .toBuffer(),
      ),
    )
    const found = await page.evaluate(
      readShown,
      webps.map((file) => [...file]),
    )
    for (const [i, file] of webps.entries()) {
      const { width, height, data } = await toRgbImage(new Blob([file as Uint8Array<ArrayBuffer>]))
      assert.equal([width, height], i < 4 ? [6, 4] : [4, 6])
      assert.equal(found[i]!.file, [width, height, ...data], `orientation ${i + 1}`)
      assert.equal(found[i]!.element, found[i]!.file, `orientation ${i + 1}, element`)
    }
  }, /ERR_FILE_NOT_FOUND/)) // Chromium logs that a file is gone

test('neither alpha nor a colour profile changes pixels: of a file, of an element, and of one whose file is gone', () =>
  withPage(async (page) => {
    const { rgba, png } = await oddPixels()
    const stored = await toRgbImage(new Blob([png as Uint8Array<ArrayBuffer>]))
    const [found] = await page.evaluate(readShown, [[...png]])
    assert.equal(found!.file, [6, 4, ...stored.data])
    assert.equal(found!.element, found!.file)
    assert.equal(found!.gone, found!.file)
    assert.is(new Set(rgba.filter((_, i) => i % 4 === 3)).size, 6)
  }, /ERR_FILE_NOT_FOUND/))

test('a file that was cut short is refused in a browser as it is in Node', () =>
  withPage(async (page) => {
    const cut = [
      'images/plain.jpg',
      'images/small.png',
      'images/lossless.webp',
      'formats/odd.jfif',
      'formats/animated.webp',
    ]
    const read = await page.evaluate(async (paths) => {
      const url = '/dist/browser.js'
      const { toRgbImage } = (await import(url)) as typeof import('vitune')
      const read: string[] = []
      for (const path of paths) {
        const whole = await (await fetch(`/test/fixtures/${path}`)).blob()
        for (const part of [0.3, 0.6, 0.9, 0.97]) {
          await toRgbImage(whole.slice(0, Math.floor(whole.size * part))).then(
            () => read.push(`${path} ${part}`),
            () => {},
          )
        }
      }
      return read
    }, cut)
    const here: string[] = []
    for (const path of cut) {
      const whole = readFileSync(join(fixtures, path))
      for (const part of [0.3, 0.6, 0.9, 0.97]) {
        const blob = new Blob([whole.subarray(0, Math.floor(whole.length * part))])
        await toRgbImage(blob).then(
          () => here.push(`${path} ${part}`),
          () => {},
        )
      }
    }
    assert.equal(read, here)
  }))

test('an address, Blob, File, bitmap, canvas, ImageData, element, camera frame and video give the same pixels', () =>
  withPage(async (page) => {
    const expected = await decodeFile(join(fixtures, 'images/image.png'))
    const { out, names, bytes } = await page.evaluate(readEachWay, '/test/fixtures/images/image.png')
    const { width, height, data } = expected
    for (const [name, image] of Object.entries(out)) {
      assert.equal([image.width, image.height], [width, height], name)
      const worst = image.data.reduce((most, v, i) => Math.max(most, Math.abs(v - data[i]!)), 0)
      assert.is(worst, 0, name)
    }
    assert.is(Object.keys(out).length, 11)
    assert.match(names[0]!, /^http.*image\.png$/)
    assert.equal(names.slice(1), ['a.png', 'image 4'])
    assert.ok(bytes.every((n) => n === data.length))
  }))

test('what cannot be read is one InputError that says why', () =>
  withPage(async (page) => {
    const found = await page.evaluate(async () => {
      const url = '/dist/browser.js'
      const { toRgbImage, InputError } = (await import(url)) as typeof import('vitune')
      const png = await (await fetch('/test/fixtures/images/image.png')).blob()
      const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
      const sources = [
        new Blob(['no image']),
        new Blob([svg], { type: 'image/svg+xml' }),
        await (await fetch('/test/fixtures/formats/rgb.tif')).blob(),
        new Blob([new Uint8Array(await png.arrayBuffer()).fill(0x40, 16, 24)]),
        png.slice(0, 60),
        new File([], 'empty.jpg'),
        new URL('/none.png', location.href),
        new URL('http://127.0.0.1:1/other-site.png'),
        document.createElement('video'),
        new Image(),
        new OffscreenCanvas(0, 0),
        { width: 2, height: 2, data: new Uint8Array(5) },
        '/not/stored.png',
      ]
      return Promise.all(
        sources.map((source) =>
          toRgbImage(source).then(
            () => 'read',
            (error) => `${error instanceof InputError} ${error.message}`,
          ),
        ),
      )
    })
    const rules = [
      /^true image 0: cannot be decoded, it is text, no picture/,
      /^true image 0: cannot be decoded, it is an SVG drawing/,
      /^true image 0: cannot be decoded, it is TIFF, which this browser does not decode; convert it to PNG/,
      /^true image 0: cannot be decoded, it has 1077952576 x 1077952576 pixels/,
      /^true image 0: cannot be decoded, it is a broken PNG/,
      /^true empty.jpg: cannot be decoded, it is empty/,
      /^true http.*none.png: cannot be decoded, the server answered with status 404/,
      /^true http.*other-site.png: cannot be decoded, it could not be fetched .*CORS/,
      /^true image 0: cannot be decoded, .*not loaded yet/,
      /^true image 0: cannot be decoded, .*not loaded yet/,
      /^true image 0: cannot be decoded/,
      /^true image 0: cannot be decoded, 2 x 2 pixels need three bytes each, got 5/,
      /^true \/not\/stored.png: cannot be decoded, ENOENT/,
    ]
    for (const [i, rule] of rules.entries()) assert.match(found[i]!, rule)
    // Chromium logs what the network refuses.
  }, /Failed to load resource|blocked by CORS|Cross-Origin/))

test.run()
