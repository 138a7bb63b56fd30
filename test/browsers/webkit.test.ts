// WebKitGTK: the page and a session's main path. It has no origin private file system, so everything is in memory.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { serve } from '../serve.mjs'
import { type Browser, shows } from './driver.ts'
import * as page from './page.ts'
import { pixelDifferences, trainAsNode } from './session.ts'
import { openWebkit } from './webkit.ts'

const folder = mkdtempSync(join(tmpdir(), 'vitune-webkit-'))
const server = await serve({ routes: { '/blank': '<!doctype html><title>vitune</title>' } })
const browser = await openWebkit(folder)
test.after(async () => {
  await browser.close()
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Whether the page asks before it is left. */
const asks = (browser: Browser) =>
  browser.run(() => !dispatchEvent(new Event('beforeunload', { cancelable: true })), null)

test('the page says that it keeps nothing, trains on samples, tries a picture, and Node reads the adapter', async () => {
  await page.openDemo(browser, server.url)
  await shows(browser, 'are kept in memory and are gone with this tab')
  await page.takeSamples(browser)
  assert.is(await asks(browser), false)
  await page.startTraining(browser, 1)
  await page.steps(browser, 11)
  assert.is(await asks(browser), true)
  await page.done(browser)
  const picture = await page.somePicture()
  const shown = await page.tryPicture(browser, picture)
  assert.is(await asks(browser), true)
  const adapter = await page.downloadAdapter(browser)
  assert.is(await asks(browser), false)
  page.equalLogits(shown, page.logitsInNode(join(folder, 'adapter'), adapter, picture))
})

test('after a reload nothing is there, which was said, and the page trains again', async () => {
  await browser.reload()
  await page.started(browser)
  await page.takeSamples(browser)
  await page.startTraining(browser, 1)
  await page.steps(browser, 2)
})

test('a session has the losses of Node on one thread, and says that a run cannot go on', async () => {
  await browser.open(`${server.url}/blank`)
  const found = await trainAsNode(browser.run)
  assert.equal([found.storage, found.threads, found.kept], ['memory', 1, []])
  assert.match(found.notes[0]!, /gone with this tab, .*: this browser has no origin private file system$/)
  assert.match(found.resumed, /^InputError: run: nothing is kept under ten steps; this browser keeps no files/)
})

test('pixels are those of Node: without WebGL 2 in workers not where a picture is translucent', async () => {
  const { 'alpha.png': translucent, ...rest } = await pixelDifferences(browser, server.url)
  const exact = await browser.run(() => new OffscreenCanvas(1, 1).getContext('webgl2') !== null, null)
  if (exact) assert.is(translucent, undefined)
  assert.equal(rest, {})
})

test.run()
