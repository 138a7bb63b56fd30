// The page with several labels a picture and with a tree of classes, in a real headless Chromium: labelled by hand and by what is
// dropped, trained, tried with thresholds that are moved; by keyboard, in the dark, on a phone.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkAccess, drop, inDemo, state, until } from '../demo-page.ts'

const folder = mkdtempSync(join(tmpdir(), 'vitune-demo-'))
test.after(() => rmSync(folder, { recursive: true }))

const colours: Record<string, [number, number, number]> = {
  red: [220, 30, 20],
  green: [20, 190, 40],
  blue: [30, 40, 230],
}

/** A picture with these colours beside each other, or grey. */
async function paint(path: string, names: readonly string[], i: number): Promise<void> {
  mkdirSync(dirname(path), { recursive: true })
  const [width, height] = [24, 20]
  const pixels = Array.from({ length: width * height }, (_, j) => {
    const name = names[Math.floor(((j % width) / width) * names.length)] ?? ''
    return (colours[name] ?? [128, 128, 128]).map((v) => Math.min(255, v + ((i * 7 + j) % 25)))
  })
  await sharp(Buffer.from(pixels.flat()), { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path)
}

const kinds = [['red'], ['green'], ['blue'], ['red', 'green'], ['blue', 'red'], []]
const tagged = join(folder, 'tagged')
const tree = join(folder, 'tree')
test.before(async () => {
  const rows = ['file_name,labels,unknown']
  for (let i = 0; i < 30; i++) {
    const names = kinds[i % kinds.length]!
    const file = `${String(i).padStart(2, '0')}.png`
    await paint(join(tagged, file), names, i)
    rows.push(`${file},${names.join(';')},${i === 5 ? 'blue;red' : ''}`)
  }
  writeFileSync(join(tagged, 'metadata.csv'), rows.join('\n'))
  for (const [path, name] of [
    ['warm/red', 'red'],
    ['warm/dark', 'none'],
    ['cold/green', 'green'],
    ['cold/blue', 'blue'],
  ] as const) {
    for (let i = 0; i < 6; i++) await paint(join(tree, path, `${i}.png`), [name], i)
  }
})

const wide = { viewport: { width: 1440, height: 1000 } }
const phone = { viewport: { width: 360, height: 780 }, colorScheme: 'dark', reducedMotion: 'reduce' } as const
const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name, exact: true })
const labelsOf = (page: Page, picture: string) =>
  page
    .getByRole('list', { name: `Labels of ${picture}`, exact: true })
    .getByRole('button')
    .allInnerTexts()
const fitsWidth = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth)

/** Trains until the end. */
async function train(page: Page, epochs: number): Promise<void> {
  await page.getByText('More settings').click()
  await page.getByLabel('Epochs').fill(String(epochs))
  await page.getByLabel('Learning rate', { exact: true }).fill('0.01')
  await button(page, 'Train').click()
  await until(page, 'Done in')
}
/** Tries pictures and waits until each has something under it. */
async function tryPictures(page: Page, files: string[]): Promise<void> {
  const choose = button(page, 'Drop a picture here, or choose one')
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), choose.click()])
  await chooser.setFiles(files)
  await page.locator('.result[aria-busy=false] .heat').waitFor()
  await page.waitForFunction(
    (n) => [...document.querySelectorAll('.strip .caption')].filter((c) => c.textContent !== '').length === n,
    files.length,
  )
}
const captions = (page: Page) => page.locator('.strip .caption').allTextContents()

test('a dropped table labels pictures, labels are changed as chips, and thresholds are moved over all pictures at once', () =>
  inDemo(wide, async (page) => {
    await drop(page, '#pictures', [tagged])
    await page.getByText('30 pictures, 3 labels').waitFor()
    await page.locator('.labelled-picture canvas').nth(11).waitFor()
    assert.equal(await labelsOf(page, '03'), ['red', 'green'])
    assert.is(await page.locator('.labelled > li').count(), 12)
    await button(page, 'Show more pictures (18 left)').click()
    await page.locator('.labelled > li').nth(23).waitFor()

    // Only pictures with a label; one is taken off and another added.
    await button(page, 'blue 10 pictures').click()
    await page.waitForFunction(() => document.querySelectorAll('.labelled > li').length === 10)
    await button(page, 'Remove blue from 04').click()
    await button(page, 'blue 9 pictures').waitFor()
    await button(page, 'All 30 pictures').click()
    assert.equal(await labelsOf(page, '04'), ['red'])
    await page.getByLabel('Add a label to 04').fill('blue')
    await page.keyboard.press('Enter')
    await button(page, 'blue 10 pictures').waitFor()
    assert.equal(await labelsOf(page, '04'), ['red', 'blue'])
    // What nobody looked for stays so until that is changed.
    assert.equal(await labelsOf(page, '05'), ['blue ?', 'red ?'])
    await page.getByLabel('Add a label to 05').fill('blue')
    await page.keyboard.press('Enter')
    await button(page, 'blue 11 pictures').waitFor()
    assert.equal(await labelsOf(page, '05'), ['blue', 'red ?'])
    await button(page, 'Remove blue from 05').click()
    await button(page, 'blue 10 pictures').waitFor()
    assert.equal(await labelsOf(page, '05'), ['red ?'])
    await checkAccess(page, 'with chips')

    await train(page, 8)
    assert.match(await state(page), /^Done in \d+ s: Mean precision \d+ % on the pictures set aside$/)
    const stats = await page.locator('.stats').innerText()
    assert.match(stats, /Accuracy\s+\d+ %\s+Mean precision\s+\d+ %/)

    const files = ['00', '01', '03', '05'].map((name) => join(tagged, `${name}.png`))
    await tryPictures(page, files)
    const before = await captions(page)
    assert.is(await button(page, 'Back to the thresholds as trained').isVisible(), false)
    for (const name of Object.keys(colours)) await page.getByLabel(`Threshold of ${name}`).fill('0')
    assert.equal(
      await captions(page),
      files.map(() => 'blue, green, red'),
    )
    assert.equal(await page.locator('.verdict .chip').count(), 3)
    for (const name of Object.keys(colours)) await page.getByLabel(`Threshold of ${name}`).fill('1')
    assert.equal(
      await captions(page),
      files.map(() => 'nothing'),
    )
    assert.is(await page.locator('.verdict').innerText(), 'No label')
    await page.getByLabel('Threshold of red').focus()
    await page.keyboard.press('Home')
    assert.equal(
      await captions(page),
      files.map(() => 'red'),
    )
    assert.match((await page.getByLabel('Threshold of red').getAttribute('aria-valuetext'))!, /^0: there at \d/)
    await checkAccess(page, 'with thresholds moved')
    await button(page, 'Back to the thresholds as trained').click()
    assert.equal(await captions(page), before)
    // What was learnt is what they show.
    assert.match(before[0]!, /red/)
  }))

test('folders in folders are a tree, in which classes are added, moved and trained; what is found is a path', () =>
  inDemo(wide, async (page) => {
    await drop(page, '#pictures', [tree])
    await page.getByText('24 pictures, 6 classes in a tree').waitFor()
    const node = (path: string) => page.locator(`[data-path="${path}"]`)
    assert.match(await node('cold').innerText(), /^cold\s*12/)

    // A new kind, whose pictures are dropped on it; then it is moved by choosing its parent, and back by dragging.
    await node('cold').click()
    await page.getByLabel('New kind of cold').fill('lime')
    await page.keyboard.press('Enter')
    await node('cold/lime').waitFor()
    const more = join(folder, 'more')
    for (const i of [0, 1]) cpSync(join(tree, 'cold/green', `${i}.png`), join(more, `lime${i}.png`))
    await drop(page, '[data-path="cold/lime"]', [join(more, 'lime0.png'), join(more, 'lime1.png')])
    await page.getByText('26 pictures, 7 classes in a tree').waitFor()
    await node('cold/lime').click()
    await page.getByLabel('cold/lime is a kind of').selectOption('warm')
    await node('warm/lime').waitFor()
    assert.match(await node('cold').innerText(), /^cold\s*12/)
    await page.locator('[data-path="warm/lime"]').dragTo(page.locator('[data-path="cold"]'))
    await node('cold/lime').waitFor()
    await node('cold/lime').click()
    await checkAccess(page, 'with a tree')
    page.on('dialog', (dialog) => dialog.accept())
    await button(page, 'Remove').click()
    await page.getByText('24 pictures, 6 classes in a tree').waitFor()

    await train(page, 10)
    assert.match(await state(page), /^Done in \d+ s: \d+ % of the pictures set aside are right$/)
    await tryPictures(page, [join(tree, 'warm/red/1.png'), join(tree, 'cold/blue/2.png')])
    assert.match(await page.locator('.verdict').innerText(), /^(warm|cold)\/(red|dark|green|blue) \d+ %$/)
    for (const text of await captions(page)) assert.match(text, /^(red|dark|green|blue)$/)
    assert.is(await page.locator('.score input').count(), 0)
    await checkAccess(page, 'with a path')
  }))

test('labelled by keyboard alone, in the dark, on a phone of 360 px', () =>
  inDemo(phone, async (page) => {
    const tabTo = async (name: RegExp) => {
      for (let i = 0; i < 80; i++) {
        await page.keyboard.press('Tab')
        const at = await page.evaluate(() => {
          const here = document.activeElement as HTMLElement & { labels?: NodeListOf<HTMLLabelElement> }
          return here.getAttribute('aria-label') ?? here.labels?.[0]?.textContent ?? here.textContent ?? ''
        })
        if (name.test(at.trim())) return
      }
      assert.unreachable(`Tab did not lead to ${name}`)
    }
    assert.ok(await fitsWidth(page))
    await tabTo(/^One class each$/)
    await page.keyboard.press('ArrowRight')
    await tabTo(/^Choose pictures$/)
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Enter')])
    await chooser.setFiles(['00', '01', '02'].map((name) => join(tagged, `${name}.png`)))
    await page.getByText('3 pictures, 0 labels').waitFor()
    await page.getByText('Training needs a label that two pictures have and another has not.').waitFor()
    for (const [picture, label] of [
      ['00', 'warm and bright'],
      ['01', 'warm and bright'],
    ] as const) {
      await tabTo(new RegExp(`^Add a label to ${picture}$`))
      await page.keyboard.type(label)
      await page.keyboard.press('Enter')
      await page.getByRole('button', { name: `Remove ${label} from ${picture}` }).waitFor()
    }
    await button(page, 'warm and bright 2 pictures').waitFor()
    assert.ok(await button(page, 'Train').isEnabled())
    assert.ok(await fitsWidth(page))
    await checkAccess(page, 'labelled')
    // A label's new name is that of all its pictures.
    await button(page, 'warm and bright 2 pictures').focus()
    await page.keyboard.press('Enter')
    await page.getByLabel('Name of the label warm and bright').fill('warm')
    await page.keyboard.press('Enter')
    await button(page, 'warm 2 pictures').waitFor()
    assert.equal(await labelsOf(page, '01'), ['warm'])
    await button(page, 'All 3 pictures').click()
    await button(page, 'Remove warm from 01').focus()
    await page.keyboard.press('Enter')
    await button(page, 'warm 1 picture').waitFor()
    assert.is(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), 'Add a label to 01')
    // The samples of each kind are there, and fit.
    await page.getByLabel('Set of pictures').selectOption('A new set')
    await button(page, 'emoji in a tree').click()
    await page.getByText('586 pictures, 20 classes in a tree').waitFor()
    assert.ok(await fitsWidth(page))
    await checkAccess(page, 'with a sample tree')
  }))

test.run()
