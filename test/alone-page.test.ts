// That training never blocks a page in a real headless Chromium, a session's or the page that trains; see alone.test.ts.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { drop, inDemo, steps, writePhotos } from './demo-page.ts'
import { inSession, type Prepared } from './session-page.ts'

const folder = mkdtempSync(join(tmpdir(), 'vitune-alone-'))
test.after(() => rmSync(folder, { recursive: true }))

for (const device of ['wasm', 'webgpu'] as const) {
  test(`training on ${device} never blocks the page for more than 50 ms`, () =>
    inSession({ device }, async (page) => {
      const { longest, steps } = await page.evaluate(async () => {
        const { session } = globalThis as unknown as Prepared
        const tasks: number[] = []
        const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration)))
        observer.observe({ entryTypes: ['longtask'] })
        let steps = 0
        const settings = { run: 'watched', model: 'tiny', dataset: 'flowers', epochs: 1, batchSize: 4 }
        for await (const event of session.train(settings)) if (event.kind === 'step') steps++
        await new Promise((resolve) => setTimeout(resolve, 100))
        tasks.push(...observer.takeRecords().map((e) => e.duration))
        observer.disconnect()
        return { longest: Math.max(0, ...tasks), steps }
      })
      assert.is(steps, 5)
      assert.ok(longest <= 50, `a task of ${longest} ms`)
    }))
}

interface Watched {
  long: number[]
  shift: number
}
/** In the page, from its start: long tasks, and layout shifts that nobody asked for. */
function watch() {
  const here = globalThis as unknown as Watched
  here.long = []
  here.shift = 0
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) here.long.push(duration)
  }).observe({ type: 'longtask' })
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
      if (!entry.hadRecentInput) here.shift += entry.value
    }
  }).observe({ type: 'layout-shift' })
}
const measured = (page: Page) =>
  page.evaluate(() => {
    const here = globalThis as unknown as Watched
    const { long, shift } = here
    here.long = []
    here.shift = 0
    return { long, shift }
  })

test('while the page that trains shows each step, nothing blocks it for 50 ms and nothing on it moves', async () => {
  const photos = await writePhotos(join(folder, 'photos'))
  await inDemo(
    { viewport: { width: 1440, height: 1000 } },
    async (page) => {
      await drop(page, '#pictures', photos)
      await page.getByText('20 pictures, 2 classes').waitFor()
      await page.getByText('More settings').click()
      await page.getByLabel('Epochs').fill('8')
      await page.getByRole('button', { name: 'Train', exact: true }).click()
      await steps(page, 10)
      await measured(page)
      await steps(page, 16)
      const { long, shift } = await measured(page)
      assert.equal(long, [], 'milliseconds of long tasks')
      assert.ok(shift < 0.01, `layout shift ${shift}`)
    },
    watch,
  )
})

test.run()
