// Sessions in a real headless Chromium where something is missing or goes: a GPU that is lost, a browser that keeps no files, what a
// session needs to start.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openPage } from '../chromium.mjs'
import { keepDevices } from '../gpu-loss.ts'
import { inSession, type Prepared } from '../session-page.ts'

test('a run goes on with a new GPU after its own was lost, with the losses of wasm, unless the session is told to throw', async () => {
  const trainLossy = async ({ run, lose, onDeviceLost }: { run: string; lose: boolean; onDeviceLost?: 'throw' }) => {
    const { session } = globalThis as unknown as Prepared
    const losses: number[] = []
    const restarts: string[] = []
    const settings = {
      run,
      model: 'tiny',
      dataset: 'flowers',
      epochs: 1,
      batchSize: 4,
      peft: 'linear',
      saveEvery: 0,
    } as const
    try {
      for await (const event of session.train({ ...settings, ...(onDeviceLost ? { onDeviceLost } : {}) })) {
        if (event.kind === 'restart') restarts.push(`${event.device} ${event.reason}`)
        if (event.kind !== 'step') continue
        losses[event.step - 1] = event.loss
        if (lose && event.step === 2 && restarts.length === 0) {
          new BroadcastChannel('lose').postMessage('')
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
      }
    } catch (error) {
      return { losses, restarts, failed: (error as Error).name }
    }
    return { losses, restarts, failed: '' }
  }
  let wanted: number[] = []
  await inSession({ device: 'wasm' }, async (page) => {
    wanted = (await page.evaluate(trainLossy, { run: 'whole', lose: false })).losses
  })
  assert.is(wanted.length, 5)
  const lossy = { device: 'webgpu', init: keepDevices } as const
  await inSession(lossy, async (page) => {
    const found = await page.evaluate(trainLossy, { run: 'lossy', lose: true })
    assert.match(
      found.restarts.join('; '),
      /^webgpu webgpu: the device was lost \(destroyed\)[^;]*; start a new backend$/,
    )
    assert.is(found.losses.length, 5)
    for (const [i, loss] of found.losses.entries())
      assert.ok(Math.abs(loss - wanted[i]!) < 1e-4, `step ${i + 1}: ${loss}`)
    const own = await page.evaluate(trainLossy, { run: 'own', lose: true, onDeviceLost: 'throw' as const })
    assert.equal([own.failed, own.restarts], ['DeviceLostError', []])
  })
  await inSession({ ...lossy, onDeviceLost: 'throw' }, async (page) => {
    const found = await page.evaluate(trainLossy, { run: 'lossy', lose: true })
    assert.equal([found.failed, found.restarts], ['DeviceLostError', []])
  })
})

/** In a page, before a session starts: its workers run `prelude` first. */
function before(prelude: string): void {
  const address = URL.createObjectURL
  URL.createObjectURL = (blob: Blob) => {
    const { type } = blob
    return address.call(URL, type === 'text/javascript' ? new Blob([`${prelude};`, blob], { type }) : blob)
  }
}

/** What browsers do where they keep no files, and what a session says of it. */
const storageless = {
  'delete StorageManager.prototype.getDirectory': 'this browser has no origin private file system',
  'StorageManager.prototype.getDirectory = async () => { throw new DOMException("no", "SecurityError") }':
    'this browser allows this page no storage, as in a private window or where site data is blocked',
  'StorageManager.prototype.getDirectory = async () => { throw new DOMException("broken", "UnknownError") }':
    "this browser's storage fails (broken)",
  'FileSystemFileHandle.prototype.createWritable = async () => { throw new DOMException("", "QuotaExceededError") }':
    "this browser's storage is full",
  'delete WorkerNavigator.prototype.locks': 'this browser has no Web Locks, which keep two tabs from writing one run',
}

test('where the browser keeps no files a session holds all in memory, says why, and trains, predicts and gives its adapter', async () => {
  const { page, errors, close } = await openPage()
  try {
    const found = await page.evaluate(
      async ({ storageless, before }) => {
        const url = '/dist/browser.js'
        const { openSession } = (await import(url)) as typeof import('vitune')
        const out: unknown[] = []
        const create = URL.createObjectURL
        for (const prelude of storageless) {
          new Function(`return ${before}`)()(prelude)
          const session = await openSession({ device: 'wasm', threads: 1 })
          URL.createObjectURL = create
          const flower = (red: number) => ({ width: 4, height: 4, data: new Uint8Array(48).fill(red) })
          const images = Array.from({ length: 8 }, (_, i) => ({
            source: flower(i * 30),
            class: i < 4 ? 'dark' : 'light',
          }))
          const { classes } = await session.addImages('greys', images)
          await session.addModel('tiny', '/test/fixtures/checkpoints/vit')
          const settings = { run: 'r', model: 'tiny', dataset: 'greys', epochs: 2, batchSize: 4 }
          for await (const event of session.train(settings)) if (event.kind === 'step' && event.step === 2) break
          const [stopped] = await session.runs()
          const { name } = await session.setDevice('wasm')
          const kinds: string[] = []
          for await (const { kind } of session.resume('r')) kinds.push(kind)
          await session.open({ run: 'r' })
          const predictions = await session.predict([flower(0), flower(240)])
          const files = (await session.adapterFiles('r')).length
          const [done] = await session.runs()
          const again = await session
            .resume('other')
            .next()
            .catch((error) => `${error.name} ${error.message}`)
          const lost = { storage: session.storage, notes: session.notes }
          await session.close()
          out.push({
            lost,
            images: classes.map((c) => c.images),
            steps: [stopped!.step, done!.step, done!.finished],
            kinds: [name, kinds[0], kinds.at(-1), predictions.length, files],
            again,
          })
        }
        const next = await openSession({ device: 'wasm', threads: 1 })
        const empty = [next.storage, (await next.runs()).length, (await next.models()).length, next.notes.length]
        await next.close()
        return { out, empty }
      },
      { storageless: Object.keys(storageless), before: String(before) },
    )
    const gone = 'Pictures, models and runs are kept in memory and are gone with this tab, also when it is reloaded'
    const whys = Object.values(storageless)
    for (const [i, one] of found.out.entries()) {
      assert.equal(one, {
        lost: { storage: 'memory', notes: [`${gone}: ${whys[i]}`] },
        images: [4, 4],
        steps: [2, 4, true],
        kinds: ['wasm', 'start', 'done', 2, 3],
        again:
          'InputError run: nothing is kept under other; this browser keeps no files, so a run cannot go on after the tab was closed or reloaded',
      })
    }
    assert.equal(found.empty, ['browser', 0, 0, 0])
    assert.equal(errors, [])
  } finally {
    await close()
  }
})

test('what keeps a session from starting is one sentence: no OffscreenCanvas, a worker that is blocked, one that stays silent', async () => {
  const headers = { 'Content-Security-Policy': "worker-src 'none'" }
  const blocked = { body: '<!doctype html><title>vitune</title>', headers }
  const { page, url, close } = await openPage({ routes: { '/blocked': blocked } })
  try {
    const start = (prelude: string) =>
      page.evaluate(
        async ({ prelude, before }) => {
          const address = '/dist/browser.js'
          const { openSession } = (await import(address)) as typeof import('vitune')
          new Function(`return ${before}`)()(prelude)
          return openSession({ device: 'wasm' }).then(
            () => 'started',
            (error) => `${error.name} ${error.message}`,
          )
        },
        { prelude, before: String(before) },
      )
    assert.is(
      await start('delete globalThis.OffscreenCanvas'),
      'InputError session: this browser has no OffscreenCanvas to read pictures in a worker; use a newer one',
    )
    await page.goto(`${url}/blocked`)
    assert.is(
      await start(''),
      'Error session: the worker failed, it was not loaded: a Content-Security-Policy must allow worker-src blob:',
    )
    await page.goto(url)
    await page.clock.install()
    const silent = start('globalThis.addEventListener("message", (event) => event.stopImmediatePropagation())')
    for (let i = 0; i < 7; i++) await page.clock.fastForward(10_000)
    assert.match(
      await silent,
      /^Error session: did not start within 60 s, its worker has not answered; reload the page/,
    )
  } finally {
    await close()
  }
})

test.run()
