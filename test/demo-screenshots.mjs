// Pictures of the page in its states, light, dark and on a phone, for people to look at: node test/demo-screenshots.mjs [state]...
// They lie in .tmp/demo/. Not a test: demo.test.ts is.
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
  phone: { viewport: { width: 375, height: 812 }, colorScheme: 'light', deviceScaleFactor: 2, hasTouch: true },
}
const wanted = process.argv.slice(2)

for (const [look, context] of Object.entries(looks)) {
  if (wanted.length > 0 && !wanted.includes(look)) continue
  const { page, errors, close } = await openPage({ root: join(root, 'dist/demo'), context })
  const shot = (state) => page.screenshot({ path: join(to, `${look}-${state}.png`), fullPage: true })
  await page.waitForSelector('html[data-ready]')
  await shot('1-empty')
  await page.getByRole('button', { name: 'clothes' }).click()
  await page.getByRole('button', { name: 'Train', exact: true }).waitFor()
  await page.waitForFunction(() => document.querySelectorAll('.thumbs canvas').length >= 50, undefined, {
    timeout: 60_000,
  })
  await page.getByText('More settings').click()
  await shot('2-ready')
  await page.getByRole('button', { name: 'Train', exact: true }).click()
  await page.waitForFunction(
    () => /^Step (4|5|6|7)\d /.test(document.querySelector('.run-state').textContent),
    undefined,
    { timeout: 120_000 },
  )
  await shot('3-training')
  await page.waitForFunction(() => /^Done/.test(document.querySelector('.run-state').textContent), undefined, {
    timeout: 300_000,
  })
  await shot('4-trained')
  await page.getByRole('button', { name: 'Try sample pictures' }).click()
  await page.waitForSelector('.heat', { timeout: 60_000 })
  await shot('5-tried')
  if (errors.length > 0) console.log(look, errors)
  await close()
}
console.log(`Pictures are in ${to}`)
