// The page that trains, driven in any browser: samples, steps, a picture tried, the adapter taken away and read by Node.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unzipSync } from 'fflate'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { type Browser, shows, until } from './driver.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

const button = (label: string) => `//button[normalize-space()="${label}"]`

/** Opens the page and waits until it has started. */
export async function openDemo(browser: Browser, url: string): Promise<void> {
  await browser.open(`${url}/dist/demo/`)
  await started(browser)
}

/** Waits until the page has started. */
export async function started(browser: Browser): Promise<void> {
  await until(browser, () => document.documentElement.dataset.ready === 'true', null, 90)
}

/** Takes the sample pictures of clothes. */
export async function takeSamples(browser: Browser): Promise<void> {
  await browser.click(button('clothes'))
  await shows(browser, '300 pictures, 10 classes')
}

/** Starts a run of so many epochs. */
export async function startTraining(browser: Browser, epochs: number): Promise<void> {
  await browser.run((count) => {
    const label = [...document.querySelectorAll('label')].find(({ textContent }) => textContent === 'Epochs')!
    ;(document.getElementById(label.htmlFor) as HTMLInputElement).value = String(count)
  }, epochs)
  await browser.click('//button[starts-with(normalize-space(), "Train")][not(@hidden)]')
}

/** Waits until the run stands at a step; ms that the page needed from its first step to there. */
export async function steps(browser: Browser, least: number): Promise<number> {
  const at = (count: number) =>
    until(
      browser,
      (n: number) => {
        const found = /^Step (\d+) of/.exec(document.querySelector('.run-state')?.textContent ?? '')
        return found && Number(found[1]) >= n && { step: Number(found[1]), now: performance.now() }
      },
      count,
    )
  const first = await at(1)
  const last = await at(least)
  return last.now - first.now
}

/** Waits until the run is done. */
export const done = (browser: Browser): Promise<string | boolean> =>
  until(
    browser,
    () => {
      const said = document.querySelector('.run-state')?.textContent ?? ''
      return /^Done in \d+ s: \d+ % of the pictures set aside are right$/.test(said) && said
    },
    null,
  )

/** Chooses a picture in the page's third section; the raw outputs that it shows, by class. */
export async function tryPicture(browser: Browser, png: Buffer): Promise<Record<string, number>> {
  await browser.run((base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
    const files = [new File([bytes], 'tried.png', { type: 'image/png' })]
    // In place of the browser's own dialog, which no driver of both can answer.
    const { click } = HTMLInputElement.prototype
    HTMLInputElement.prototype.click = function () {
      HTMLInputElement.prototype.click = click
      Object.defineProperty(this, 'files', { value: files })
      this.dispatchEvent(new Event('change'))
    }
  }, png.toString('base64'))
  await browser.click(button('Drop a picture here, or choose one'))
  return until(
    browser,
    () => {
      if (!document.querySelector('.result[aria-busy=false] .heat')) return undefined
      const rows = [...document.querySelectorAll('.score')]
      const logit = (row: Element) => Number(row.querySelector('data')!.title.replace(/^logit /, ''))
      return Object.fromEntries(rows.map((row) => [row.querySelector('.score-label')!.textContent!, logit(row)]))
    },
    null,
  ) as Promise<Record<string, number>>
}

/** The file that came to a folder, once it is whole. */
async function downloaded(folder: string, before: ReadonlySet<string>): Promise<Uint8Array> {
  for (let tries = 0; tries < 300; tries++) {
    const names = existsSync(folder) ? readdirSync(folder) : []
    const name = names.find((file) => file.endsWith('.zip') && !before.has(file))
    // Firefox makes it empty first, and writes beside it.
    const writing = names.some((file) => file.endsWith('.part'))
    if (name && !writing && statSync(join(folder, name)).size > 0) return readFileSync(join(folder, name))
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`no download came to ${folder}`)
}

/** Downloads the adapter by the page's button; its files by name. */
export async function downloadAdapter(browser: Browser): Promise<Record<string, Uint8Array>> {
  const link = `//section[@id="training"]${button('Download the adapter')}`
  const { downloads } = browser
  if (downloads !== undefined) {
    const before = new Set(existsSync(downloads) ? readdirSync(downloads) : [])
    await browser.click(link)
    return unzipSync(await downloaded(downloads, before))
  }
  // What the page offers is taken at its link.
  await browser.run(() => {
    const { click } = HTMLAnchorElement.prototype
    HTMLAnchorElement.prototype.click = function () {
      HTMLAnchorElement.prototype.click = click
      const file = fetch(this.href).then((answer) => answer.arrayBuffer())
      Object.assign(globalThis, { offered: file })
    }
  }, null)
  await browser.click(link)
  const bytes = await until(
    browser,
    async () => {
      const { offered } = globalThis as { offered?: Promise<ArrayBuffer> }
      return offered && [...new Uint8Array(await offered)]
    },
    null,
  )
  return unzipSync(Uint8Array.from(bytes))
}

/** A picture that nothing was trained on. */
export const somePicture = (): Promise<Buffer> =>
  sharp(Buffer.from(Array.from({ length: 28 * 28 * 3 }, (_, i) => (i * 7 + (i % 84) * 2) % 256)), {
    raw: { width: 28, height: 28, channels: 3 },
  })
    .png()
    .toBuffer()

/** The raw outputs that the command line computes of a picture, with an adapter's files on the page's own model, by class. */
export function logitsInNode(folder: string, adapter: Record<string, Uint8Array>, png: Buffer): Record<string, number> {
  mkdirSync(folder, { recursive: true })
  for (const [name, bytes] of Object.entries(adapter)) writeFileSync(join(folder, name), bytes)
  const picture = join(folder, 'tried.png')
  writeFileSync(picture, png)
  const model = join(root, 'benchmarks/vit-cifar100')
  const args = ['predict', '--model', model, '--adapter', folder, '--top', '10', '--logits', '--json', picture]
  const said = execFileSync(process.execPath, [join(root, 'dist/cli.js'), ...args], { encoding: 'utf8' })
  const [found] = (JSON.parse(said) as { predictions: { top: { label: string }[]; logits: number[] }[] }).predictions
  const falling = [...found!.logits].sort((x, y) => y - x)
  return Object.fromEntries(found!.top.map(({ label }, i) => [label, falling[i]!]))
}

/** The raw outputs that the page shows, those of the likeliest classes, are Node's up to rounding. */
export function equalLogits(shown: Record<string, number>, want: Record<string, number>): void {
  assert.ok(Object.keys(shown).length >= 5)
  for (const [label, logit] of Object.entries(shown)) {
    assert.ok(Math.abs(want[label]! - logit) < 1e-4, `${label}: ${logit} and ${want[label]} of ${Object.keys(want)}`)
  }
}
