// The page that trains in a real headless Chromium, for tests: opened, pictures dropped on it, and what it says of a run.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BrowserContextOptions, Page } from 'playwright-core'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { openPage } from './chromium.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Writes ten small pictures of each of two classes, and a file that is none, below `folder`; the classes' folders. */
export async function writePhotos(folder: string): Promise<[string, string]> {
  for (const [name, r, g] of [
    ['rose', 200, 40],
    ['tulip', 60, 190],
  ] as const) {
    mkdirSync(join(folder, name), { recursive: true })
    for (let i = 1; i <= 10; i++) {
      const data = Buffer.from(
        Array.from({ length: 24 * 20 }, (_, j) => [r + ((i * 7 + j) % 50), g + ((3 * j) % 30), 60]).flat(),
      )
      const image = sharp(data, { raw: { width: 24, height: 20, channels: 3 } })
      await image.png().toFile(join(folder, name, `${i}.png`))
    }
  }
  writeFileSync(join(folder, 'rose', 'notes.txt'), 'no picture')
  return [join(folder, 'rose'), join(folder, 'tulip')]
}

/** Runs `body` on the open page; ends with it and what it logged as errors. `init` runs in the page from its start. */
export async function inDemo(
  context: BrowserContextOptions,
  body: (page: Page, url: string) => Promise<void>,
  init = () => {},
): Promise<void> {
  const opened = await openPage({ path: '/dist/demo/', context })
  const { page, url, errors, close } = opened
  page.setDefaultTimeout(60_000)
  page.on('filechooser', () => {}) // dialogs are caught from here on, not from the first wait for one
  try {
    await opened.context.addInitScript(init)
    await page.reload()
    await page.waitForSelector('html[data-ready]')
    await body(page, url)
    assert.equal(errors, [])
  } catch (error) {
    const said = await page.evaluate(() => document.body.innerText).catch(() => 'nothing')
    if (error instanceof Error) error.message += `\nThe page said:\n${said}\n${errors.join('\n')}`
    throw error
  } finally {
    await close()
  }
}

/** Drops files and folders of the disk on an element, as a person would from a file manager. */
export async function drop(page: Page, selector: string, files: string[]): Promise<void> {
  const box = (await page.locator(selector).boundingBox())!
  const client = await page.context().newCDPSession(page)
  const at = { x: box.x + box.width / 2, y: box.y + 30 }
  const data = { items: [], files, dragOperationsMask: 1 }
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await client.send('Input.dispatchDragEvent', { type, ...at, data })
  }
}

/** What the page says of the run. */
export const state = (page: Page) => page.locator('.run-state').innerText()
/** Waits until so many steps are done. */
export const steps = (page: Page, least: number) =>
  page.waitForFunction((n) => {
    const found = /^Step (\d+) of/.exec(document.querySelector('.run-state')?.textContent ?? '')
    return found && Number(found[1]) >= n
  }, least)
/** Waits until the run's state starts so. */
export const until = (page: Page, start: string) =>
  page.waitForFunction((s) => document.querySelector('.run-state')?.textContent?.startsWith(s), start)

/** No rule of WCAG 2.2 A and AA that axe can check is broken. */
export async function checkAccess(page: Page, when: string): Promise<void> {
  const there = await page.evaluate(() => 'axe' in globalThis)
  if (!there) await page.addScriptTag({ path: join(root, 'node_modules/axe-core/axe.min.js') })
  const found = await page.evaluate(async () => {
    type Axe = {
      run(
        options: unknown,
      ): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>
    }
    const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run({ resultTypes: ['violations'] })
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`))
  })
  assert.equal(found, [], when)
}
