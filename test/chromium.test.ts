// The browser build in a real headless Chromium: it loads, threads and WebGPU work, and isolation is what the page asks for.
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openPage, type PageOptions } from './chromium.mjs'

async function withPage(options: PageOptions, body: (page: Page) => Promise<void>): Promise<void> {
  const { page, errors, close } = await openPage(options)
  try {
    await body(page)
    assert.equal(errors, [])
  } finally {
    await close()
  }
}

/** In the page: y = 3 x + 1 over 100,003 elements on one backend, and what that backend says about itself. */
async function affineInPage(device: string) {
  const url = '/dist/browser-tensor.js'
  const vitune = (await import(url)) as typeof import('vitune/tensor')
  const backend = device === 'wasm' ? await vitune.createWasm({ threads: 2 }) : await vitune.createWebgpu()
  const n = 100_003
  const x = backend.alloc(n, 'f32')
  const y = backend.alloc(n, 'f32')
  backend.write(
    x,
    Float32Array.from({ length: n }, (_, j) => j),
  )
  backend.dispatch('unary', { y, x }, { op: 0, n, a: 3, b: 1 })
  const found = await backend.read(y)
  const wrong = found.findIndex((v: number, j: number) => v !== Math.fround(3 * j + 1))
  for (const buf of [x, y]) backend.free(buf)
  const { buffers } = backend.memory()
  const { name, caps } = backend
  await backend.dispose()
  return { name, threads: caps.threads, notes: [...caps.notes], wrong, buffers }
}

test('an isolated page has shared memory, two WASM threads and a WebGPU adapter, which compute the same', () =>
  withPage({}, async (page) => {
    assert.is(await page.evaluate(() => globalThis.crossOriginIsolated), true)
    const wasm = await page.evaluate(affineInPage, 'wasm')
    assert.equal(wasm, { name: 'wasm', threads: 2, notes: [], wrong: -1, buffers: 0 })
    const webgpu = await page.evaluate(affineInPage, 'webgpu')
    assert.is(webgpu.name, 'webgpu')
    assert.equal([webgpu.wrong, webgpu.buffers], [-1, 0])
  }))

test('a page that is not isolated computes on one thread and says which headers it lacks', () =>
  withPage({ isolated: false }, async (page) => {
    assert.is(await page.evaluate(() => globalThis.crossOriginIsolated), false)
    const { threads, notes, wrong } = await page.evaluate(affineInPage, 'wasm')
    assert.equal([threads, wrong], [1, -1])
    assert.match(notes.join(), /COOP and COEP|SharedArrayBuffer/)
  }))

test('a test serves pages of its own beside the files of the repository', () =>
  withPage({ routes: { '/own': '<p>own</p>', '/data.json': () => '{"a": 1}' }, path: '/own' }, async (page) => {
    assert.is(await page.textContent('p'), 'own')
    assert.equal(await page.evaluate(async () => (await fetch('/data.json')).json()), { a: 1 })
    const outside = await page.request.get(new URL('/..%2f..%2fetc/passwd', page.url()).href)
    assert.is(outside.status(), 404)
    assert.match(await page.evaluate(async () => (await fetch('/LICENSE')).text()), /vitune/)
  }))

test.run()
