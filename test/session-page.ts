// A session in a page of a real headless Chromium, for tests: opened, with images and a model in it.
import type { Page } from 'playwright-core'
import * as assert from 'uvu/assert'
import type { Session, SessionOptions } from 'vitune'
import { openPage, type PageOptions } from './chromium.mjs'

type Vitune = typeof import('vitune')
interface Flower {
  source: { width: number; height: number; data: Uint8Array }
  class: string
}
/** What `prepare` leaves in the page. */
export interface Prepared {
  vitune: Vitune
  session: Session
  flower(r: number, g: number, i: number): Flower['source']
  flowers: Flower[]
}

/** In the page: opens a session with 24 made-up flowers and a tiny DINOv2. */
async function prepare(options: SessionOptions) {
  const url = '/dist/browser.js'
  const here = globalThis as unknown as Prepared
  here.vitune = await import(url)
  here.session = await here.vitune.openSession(options)
  here.flower = (r, g, i) => {
    const data = new Uint8Array(20 * 16 * 3)
    for (let j = 0; j < data.length; j += 3) data.set([r + ((i * 7 + j) % 40), g + ((i * 3 + j) % 30), 60], j)
    return { width: 20, height: 16, data }
  }
  here.flowers = Array.from({ length: 12 }, (_, i) => [
    { source: here.flower(200, 40, i), class: 'rose' },
    { source: here.flower(60, 190, i), class: 'tulip' },
  ]).flat()
  await here.session.addImages('flowers', here.flowers)
  await here.session.addModel('tiny', '/test/fixtures/checkpoints/dinov2')
}

/** Runs `body` on a page where `prepare`, after `init`, has opened a session; ends with the page and what it logged as errors but for `ignore`. */
export async function inSession(
  options: SessionOptions & PageOptions & { init?: () => void; ignore?: RegExp },
  body: (page: Page, url: string) => Promise<void>,
): Promise<void> {
  const { device, threads, onDeviceLost, init, ignore, ...rest } = options
  const { page, url, errors, close } = await openPage(rest)
  try {
    if (init) await page.evaluate(init)
    await page.evaluate(prepare, JSON.parse(JSON.stringify({ device, threads, onDeviceLost })) as SessionOptions)
    await body(page, url)
    assert.equal(
      errors.filter((error) => !ignore?.test(error)),
      [],
    )
  } finally {
    await close()
  }
}
