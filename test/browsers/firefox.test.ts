// Firefox: the page and a session's main path, in a window that keeps its files and in a private one.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { serve } from '../serve.mjs'
import { shows } from './driver.ts'
import { openFirefox, runUndriven } from './firefox.ts'
import * as page from './page.ts'
import { pixelDifferences, trainAsNode } from './session.ts'

const folder = mkdtempSync(join(tmpdir(), 'vitune-firefox-'))
const downloads = join(folder, 'downloads')
const server = await serve({ routes: { '/blank': '<!doctype html><title>vitune</title>' } })
const browser = await openFirefox(downloads)
test.after(async () => {
  await browser.close()
  await server.close()
  rmSync(folder, { recursive: true })
})

test('the page trains ten steps on samples, goes on after a reload, tries a picture, and Node reads the adapter', async () => {
  await page.openDemo(browser, server.url)
  await page.takeSamples(browser)
  await page.startTraining(browser, 3)
  await page.steps(browser, 11)
  await browser.reload()
  await page.started(browser)
  await shows(browser, 'Not finished: LoRA on Small ViT, Clothes, step ')
  await browser.click('//button[normalize-space()="Continue"][not(@hidden)]')
  await page.done(browser)
  const picture = await page.somePicture()
  const shown = await page.tryPicture(browser, picture)
  const adapter = await page.downloadAdapter(browser)
  page.equalLogits(shown, page.logitsInNode(join(folder, 'adapter'), adapter, picture))
  assert.equal(browser.errors, [])
})

test('a session on threads has the losses of Node, and a later one has its run', async () => {
  const found = await trainAsNode(runUndriven)
  assert.is(found.storage, 'browser')
  assert.ok(found.threads! >= 2)
  assert.equal([found.kept, found.resumed], [['ten steps true'], 'went on: start'])
})

test('a private window, which keeps no files, holds all in memory, says so and trains the same', async () => {
  const hidden = await openFirefox(downloads, true)
  try {
    await hidden.open(`${server.url}/blank`)
    const found = await trainAsNode(hidden.run)
    assert.is(found.storage, 'memory')
    assert.match(
      found.notes[0]!,
      /gone with this tab, .*: this browser allows this page no storage, as in a private window/,
    )
    assert.equal(found.kept, [])
    assert.match(found.resumed, /^InputError: run: nothing is kept under ten steps; this browser keeps no files/)
    await page.openDemo(hidden, server.url)
    await shows(hidden, 'Download what you train before you close or reload this tab.')
  } finally {
    await hidden.close()
  }
})

test('pixels are those of Node: without WebGL 2 not where a picture is translucent, by one level where it has 16 bits', async () => {
  const { 'alpha.png': translucent, ...rest } = await pixelDifferences(browser, server.url)
  const exact = await browser.run(() => new OffscreenCanvas(1, 1).getContext('webgl2') !== null, null)
  if (exact) assert.is(translucent, undefined)
  assert.equal(rest, { 'deep-grey.png': 1, 'deep.png': 1 })
})

test.run()
