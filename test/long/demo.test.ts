// The page that trains, driven in a real headless Chromium as a person would: by mouse on a large screen, then by keyboard
// alone on a phone's. What it downloads is read by the command line. That it never blocks: alone.test.ts.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unzipSync } from 'fflate'
import type { Download, Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openPage } from '../chromium.mjs'
import { checkAccess, drop, inDemo, state, steps, until, writePhotos } from '../demo-page.ts'
import { keepDevices, loseDevice } from '../gpu-loss.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'vitune-demo-'))
const photos = join(folder, 'photos')

test.before(async () => void (await writePhotos(photos)))
test.after(() => rmSync(folder, { recursive: true }))

/** The raw outputs that the page shows, by class. */
const logitsIn = (page: Page) =>
  page.$$eval('.score', (rows) =>
    Object.fromEntries(
      rows.map((row) => {
        const logit = row.querySelector('data')!.title.replace(/^logit /, '')
        return [row.querySelector('.score-label')!.textContent!, Number(logit)]
      }),
    ),
  )

const zipOf = (download: Download) => join(folder, download.suggestedFilename())

/** Unzips a downloaded adapter; the raw outputs that the command line computes with it, by class. */
async function logitsWith(download: Download, image: string, base: string): Promise<Record<string, number>> {
  const zip = zipOf(download)
  await download.saveAs(zip)
  const to = mkdtempSync(join(folder, 'adapter-'))
  for (const [name, bytes] of Object.entries(unzipSync(readFileSync(zip)))) writeFileSync(join(to, name), bytes)
  const args = ['predict', '--model', join(root, base), '--adapter', to, '--top', '2', '--logits', '--json', image]
  const said = execFileSync(process.execPath, [join(root, 'dist/cli.js'), ...args], { encoding: 'utf8' })
  const [found] = (JSON.parse(said) as { predictions: { top: { label: string }[]; logits: number[] }[] }).predictions
  const { top, logits } = found!
  assert.is(logits.length, 2)
  const falling = [...logits].sort((x, y) => y - x)
  return Object.fromEntries(top.map(({ label }, i) => [label, falling[i]!]))
}

function equalLogits(got: Record<string, number>, want: Record<string, number>): void {
  assert.equal(Object.keys(got).sort(), Object.keys(want).sort())
  for (const [label, logit] of Object.entries(want))
    assert.ok(Math.abs(got[label]! - logit) < 1e-4, `${label}: ${got[label]} and ${logit}`)
}

const wide = { viewport: { width: 1440, height: 1000 }, acceptDownloads: true }
const clickable = (page: Page) => (name: string) => page.getByRole('button', { name, exact: true })

/** Drops the two classes of ten pictures. */
async function dropPhotos(page: Page): Promise<void> {
  await drop(page, '#pictures', [join(photos, 'rose'), join(photos, 'tulip')])
  await page.getByText('20 pictures, 2 classes').waitFor()
}

/** Downloads the adapter of the run that was trained last. */
async function downloaded(page: Page, section: string): Promise<Download> {
  const link = page.locator(section).getByText('Download the adapter')
  return (await Promise.all([page.waitForEvent('download'), link.click()]))[0]
}

/** Tries one picture and waits for its map. */
async function tryPicture(page: Page): Promise<string> {
  const picture = join(photos, 'tulip', '3.png')
  const choose = clickable(page)('Drop a picture here, or choose one')
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), choose.click()])
  await chooser.setFiles(picture)
  await page.locator('.result[aria-busy=false] .heat').waitFor()
  return picture
}

test('folders are dropped, a run outlives a reload, pictures are tried, the adapter is read by the command line', () =>
  inDemo(wide, async (page) => {
    const button = clickable(page)
    assert.ok(await button('Train').isDisabled())
    await page.getByText('Training needs pictures of at least two classes.').waitFor()
    await dropPhotos(page)
    await page.getByText('Passed over files ending in .txt (1): rose/notes.txt.').waitFor()
    await page.waitForFunction(() => document.querySelectorAll('.thumbs canvas').length === 10)

    await page.getByText('More settings').click()
    await page.getByLabel('Epochs').fill('8')
    await button('Train').click()
    await steps(page, 10)
    assert.match(await page.locator('.monitor').innerText(), /Computed on the processor/)
    await page.reload()
    await page.getByText(/^Not finished: LoRA on Small ViT, My pictures, step [1-9]\d* of \d+/).waitFor()
    // One more picture: the page asks before it goes on with others than it began with.
    const late = join(photos, 'late', 'tulip')
    mkdirSync(late, { recursive: true })
    cpSync(join(photos, 'tulip', '3.png'), join(late, 'late.png'))
    await drop(page, '#pictures', [late])
    await page.getByText('21 pictures, 2 classes').waitFor()
    rmSync(dirname(late), { recursive: true })
    await button('Continue').click()
    await page.getByText('Since this run began 1 image was added (tulip/late.png).').waitFor()
    await button('Go on with what is there now').click()
    await until(page, 'Done in')
    assert.match(await state(page), /^Done in \d+ s: \d+ % of the pictures set aside are right$/)
    await checkAccess(page, 'after training')

    const picture = await tryPicture(page)
    assert.match(await page.locator('#trying').innerText(), /It looked most at the (upper|lower|middle|left|right)/)
    const shown = await logitsIn(page)
    const download = await downloaded(page, '#trying')
    equalLogits(await logitsWith(download, picture, 'benchmarks/vit-cifar100'), shown)

    // The same file back into the page.
    await drop(page, '#trying', [zipOf(download)])
    await page.waitForFunction(() => document.querySelector<HTMLSelectElement>('#trying select')!.value === 'adapter')
    await page.locator('.result[aria-busy=false] .heat').waitFor()
    equalLogits(await logitsIn(page), shown)

    page.on('dialog', (dialog) => dialog.accept())
    await button('Remove class tulip').click()
    await page.getByText('10 pictures, 1 class').waitFor()
    assert.ok(await button('Train anew').isDisabled())

    // Another class: the next run begins with what this one knows.
    const violet = join(photos, 'more', 'violet')
    for (const name of ['1.png', '2.png', '4.png']) cpSync(join(photos, 'tulip', name), join(violet, name))
    await drop(page, '#pictures', [violet])
    await page.getByText('13 pictures, 2 classes').waitFor()
    rmSync(dirname(violet), { recursive: true })
    await page.getByLabel('Begin with').selectOption('My pictures lora 1')
    assert.ok(await page.getByLabel('Model', { exact: true }).isDisabled())
    await page.getByText('More settings').click()
    await page.getByLabel('Epochs').fill('1')
    await button('Train anew').click()
    await page.getByText('keeps the rows of 1 (rose) of 2 classes, 1 (violet) is new, 1 (tulip) is gone').waitFor()
    await until(page, 'Done in')
  }))

test('the same on WebGPU, and its adapter has equal logits on the command line; a GPU that is lost is told of', () =>
  inDemo(
    wide,
    async (page, url) => {
      const button = clickable(page)
      await dropPhotos(page)
      await page.getByText('More settings').click()
      await page.getByLabel('Device').selectOption('webgpu')
      await page.locator('.device summary').getByText('WebGPU').waitFor()
      // A tiny model by its address, since a GPU in software is slow.
      await page.getByLabel('Model', { exact: true }).selectOption('address')
      await page.getByLabel('Address of the folder').fill(`${url}/test/fixtures/checkpoints/vit/`)
      await page.getByLabel('Epochs').fill('5')
      assert.ok(await page.getByRole('radio', { name: /^LoRA/ }).isChecked())
      await button('Train').click()
      // After the first epoch's checkpoint, and long before the end.
      await steps(page, 5)
      await page.evaluate(loseDevice)
      await page.locator('.monitor').getByText('Computed on webgpu. The device was lost once').waitFor()
      await until(page, 'Done in')
      const picture = await tryPicture(page)
      const shown = await logitsIn(page)
      const download = await downloaded(page, '#training')
      equalLogits(await logitsWith(download, picture, 'test/fixtures/checkpoints/vit'), shown)
    },
    keepDevices,
  ))

test('frames of the camera become pictures of two classes, and are tried live', () =>
  inDemo(wide, async (page) => {
    const button = clickable(page)
    const pictures = page.locator('#pictures')
    for (const name of ['left', 'right']) {
      await pictures.getByRole('button', { name: 'Camera', exact: true }).click()
      await page.getByLabel('Class to record for').fill(name)
      await button('Record').click()
      await page.getByText(/^\d+ pictures recorded\.$/).waitFor()
      await button('Pause recording').click()
      await button('Keep them').click()
      await page.locator('video').waitFor({ state: 'hidden' })
    }
    await page.getByText(/^\d+ pictures, 2 classes/).waitFor()
    assert.ok(await button('Train').isEnabled())
    const trying = page.locator('#trying')
    await trying.getByRole('button', { name: 'Camera', exact: true }).click()
    await trying.locator('.score').first().waitFor()
    await trying.getByRole('button', { name: 'Stop the camera' }).click()
    await trying.getByRole('button', { name: 'Camera', exact: true }).waitFor()
  }))

test('on a host that sends no headers a service worker isolates the page, which then has threads', async () => {
  const { page, errors, close } = await openPage({ path: '/dist/demo/', isolated: false })
  try {
    await page.waitForFunction(() => globalThis.crossOriginIsolated && document.documentElement.dataset.ready)
    assert.match(await page.locator('.device summary').innerText(), /Processor, [2-9]|Processor, \d\d|WebGPU/)
    assert.ok(await page.locator('#notice').isHidden())
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

test('where site data is blocked the page starts, says once that it keeps nothing, and asks before it is left', () =>
  inDemo(
    wide,
    async (page) => {
      const notice = page.locator('#notice')
      await notice.getByText('this browser allows this page no storage, as in a private window').waitFor()
      await notice.getByText('Download what you train before you close or reload this tab.').waitFor()
      const asks = () => page.evaluate(() => !dispatchEvent(new Event('beforeunload', { cancelable: true })))
      await dropPhotos(page)
      assert.is(await asks(), false)
      await page.getByText('More settings').click()
      await page.getByLabel('Epochs').fill('1')
      await page.getByLabel('Find the learning rate by a short test').check()
      await clickable(page)('Train').click()
      await page.getByText(/^Learning rate \d.*, found by a test\.$/).waitFor()
      await until(page, 'Done in')
      assert.is(await asks(), true)
      await downloaded(page, '#training')
      await page.waitForFunction(() => dispatchEvent(new Event('beforeunload', { cancelable: true })))
    },
    () => {
      const get = () => {
        throw new DOMException('blocked', 'SecurityError')
      }
      for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(globalThis, name, { get })
      const refuse =
        'StorageManager.prototype.getDirectory = async () => { throw new DOMException("blocked", "SecurityError") };'
      const address = URL.createObjectURL
      URL.createObjectURL = (blob: Blob) => {
        const { type } = blob
        return address.call(URL, type === 'text/javascript' ? new Blob([refuse, blob], { type }) : blob)
      }
    },
  ))

test('a page whose program does not load or that an old browser cannot read says so', async () => {
  for (const demo of [
    { body: '', status: 404 },
    { body: 'const a = ;', type: 'text/javascript' },
  ]) {
    const { page, close } = await openPage({ path: '/dist/demo/', routes: { '/dist/demo/demo.js': demo } })
    try {
      await page
        .locator('#notice')
        .getByText(/^vitune cannot start here\. .+ A newer browser may help\.$/)
        .waitFor()
      assert.ok(await page.locator('#main').isHidden())
    } finally {
      await close()
    }
  }
})

/** Presses Tab until the control of this name has the focus; every stop on the way must show that it has it. */
async function tabTo(page: Page, name: RegExp): Promise<void> {
  const passed: string[] = []
  for (let i = 0; i < 120; i++) {
    await page.keyboard.press('Tab')
    const at = await page.evaluate(() => {
      const here = document.activeElement as HTMLElement & { labels?: NodeListOf<HTMLLabelElement> }
      const target = here.matches('.method input') ? here.closest('.method')! : here
      const text = here.getAttribute('aria-label') ?? here.labels?.[0]?.textContent ?? here.textContent ?? ''
      return { name: text.trim(), outline: getComputedStyle(target).outlineStyle, body: here === document.body }
    })
    passed.push(at.name)
    assert.ok(at.body || at.outline !== 'none', `no visible focus on ${at.name}`)
    if (name.test(at.name)) return
  }
  assert.unreachable(`Tab did not lead to ${name}, but to ${passed.join(' | ')}`)
}

test("the whole way by keyboard alone, in the dark, at a phone's width", () =>
  inDemo({ viewport: { width: 375, height: 812 }, colorScheme: 'dark', reducedMotion: 'reduce' }, async (page, url) => {
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth)
    assert.is(await wide(), 375)
    await checkAccess(page, 'empty')
    await tabTo(page, /^Skip/)
    await tabTo(page, /^Drop folders of pictures/)
    const [folders] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Enter')])
    await folders.setFiles(photos)
    await page.getByText('20 pictures, 2 classes').waitFor()

    await tabTo(page, /^Model$/)
    await page.keyboard.type('Another')
    await tabTo(page, /^Address of the folder/)
    await page.keyboard.type(`${url}/test/fixtures/checkpoints/dinov2/`)
    await tabTo(page, /^LoRA/)
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await tabTo(page, /^More settings/)
    await page.keyboard.press('Enter')
    await tabTo(page, /^Epochs/)
    await page.keyboard.type('400')
    await tabTo(page, /^All settings/)
    await page.keyboard.press('Enter')
    await tabTo(page, /^Weight decay/)
    await page.keyboard.type('-1')
    assert.is(await wide(), 375)
    await checkAccess(page, 'all settings')
    await tabTo(page, /^Train$/)
    await page.keyboard.press('Enter')
    await page
      .getByRole('alert')
      .getByText(/^Weight decay: /)
      .waitFor()
    await page.keyboard.press('Backspace')
    await page.keyboard.press('Backspace')
    await tabTo(page, /^Train$/)
    await page.keyboard.press('Enter')
    await steps(page, 10)
    assert.is(await page.evaluate(() => document.activeElement?.textContent), 'Stop')
    await page.keyboard.press('Enter')
    await until(page, 'Stopped at step')
    assert.is(await page.evaluate(() => document.activeElement?.textContent), 'Continue')
    assert.is(await wide(), 375)
    await page.keyboard.press('Enter')
    await steps(page, 20)
    await page.keyboard.press('Enter')
    await until(page, 'Stopped at step')

    await tabTo(page, /^Drop a picture here/)
    const [picture] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Enter')])
    await picture.setFiles(join(photos, 'rose', '2.png'))
    await page.locator('.heat').waitFor()
    assert.match(await page.locator('#live').innerText(), /^(rose|tulip) \d+ %.*It looked most at/)
    assert.is(await wide(), 375)
    await checkAccess(page, 'with a prediction')
  }))

test.run()
