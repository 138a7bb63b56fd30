// Pictures of the page in its states, light, dark and on a phone, for people to look at: node test/demo-screenshots.mjs [look or
// kind]... (light, dark, phone; classes, labels, tree). They lie in .tmp/demo/. Not a test: demo.test.ts is.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openPage } from './chromium.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const to = join(root, '.tmp/demo')
mkdirSync(to, { recursive: true })
const looks = {
  light: { viewport: { width: 1440, height: 1000 }, colorScheme: 'light' },
  dark: { viewport: { width: 1440, height: 1000 }, colorScheme: 'dark' },
  phone: { viewport: { width: 360, height: 780 }, colorScheme: 'light', deviceScaleFactor: 2, hasTouch: true },
}
/** By kind of set: the sample, and what is there when its pictures are shown. */
const kinds = {
  classes: { sample: 'clothes', shown: ['.thumbs canvas', 50] },
  labels: { sample: 'emoji with tags', shown: ['.labelled-picture canvas', 12] },
  tree: { sample: 'emoji in a tree', shown: ['.tree .thumbs canvas', 40] },
}
const wanted = process.argv.slice(2)
const chosen = (all) => {
  const some = Object.keys(all).filter((name) => wanted.includes(name))
  return some.length > 0 ? some : Object.keys(all)
}

for (const look of chosen(looks)) {
  for (const kind of chosen(kinds)) {
    const { sample, shown } = kinds[kind]
    const { page, errors, close } = await openPage({ root: join(root, 'dist/demo'), context: looks[look] })
    page.setDefaultTimeout(300_000)
    const shot = (state) => page.screenshot({ path: join(to, `${look}-${kind}-${state}.png`), fullPage: true })
    const until = (start) =>
      page.waitForFunction((s) => new RegExp(s).test(document.querySelector('.run-state').textContent), start)
    await page.waitForSelector('html[data-ready]')
    await shot('1-empty')
    await page.getByRole('button', { name: sample }).click()
    await page.waitForFunction(([s, n]) => document.querySelectorAll(s).length >= n, shown)
    await page.locator('#pictures .working').waitFor({ state: 'hidden' })
    await page.getByText('More settings').click()
    if (kind === 'tree') await page.locator('.tree-name').nth(1).click()
    await shot('2-ready')
    await page.getByLabel('Vary the pictures').selectOption('By choice')
    await page.getByText('All settings').click()
    await shot('2-settings')
    await page.getByText('All settings').click()
    await page.getByLabel('Vary the pictures').selectOption('As the recipe says')
    if (kind === 'classes') await page.getByText('Find the learning rate').click()
    await page.getByRole('button', { name: 'Train', exact: true }).click()
    await until('^Step (4|5|6|7)\\d ')
    await shot('3-training')
    await until('^Done')
    await shot('4-trained')
    await page.getByRole('button', { name: 'Try sample pictures' }).click()
    await page.waitForSelector('.heat')
    await page.waitForFunction(() => [...document.querySelectorAll('.caption')].every((c) => c.textContent !== ''))
    await shot('5-tried')
    if (kind === 'labels') {
      const slider = page.locator('.score input').first()
      await slider.fill('0.95')
      await shot('6-threshold')
    }
    if (errors.length > 0) console.log(look, kind, errors)
    await close()
  }
}
console.log(`Pictures are in ${to}`)
