// Images from all that shows one in a browser, in a real headless Chromium: the pixels that Node reads.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeFile } from 'vitune'
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
    const names = readdirSync(join(fixtures, 'images')).filter((name) => /\.(png|jpg|webp)$/.test(name))
    assert.ok(names.length >= 12)
    for (const name of names) {
      const { width, height, data } = await decodeFile(join(fixtures, 'images', name))
      const found = await page.evaluate(async (path) => {
        const url = '/dist/browser.js'
        const { toRgbImage } = (await import(url)) as typeof import('vitune')
        const image = await toRgbImage(new URL(path, location.href))
        return { width: image.width, height: image.height, data: [...image.data] }
      }, `/test/fixtures/images/${name}`)
      assert.equal(found, { width, height, data: [...data] }, name)
    }
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
      const sources = [
        new Blob(['no image']),
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
      /^true image 0: cannot be decoded, it is broken, of an unknown format/,
      /^true image 0: cannot be decoded, it is broken/,
      /^true empty.jpg: cannot be decoded, it is broken/,
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
