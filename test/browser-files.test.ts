// Files in a browser's own storage, in a real headless Chromium: the same answers as in memory, on the page and in a worker,
// and what is left where storage is full.
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Files } from '../src/platform/platform.ts'
import { openPage } from './chromium.mjs'
import { expected, useFiles } from './files-cases.ts'

async function withPage(body: (page: Page) => Promise<void>): Promise<void> {
  const { page, errors, close } = await openPage()
  try {
    await body(page)
    assert.equal(errors, [])
  } finally {
    await close()
  }
}

/** Code that gives what a function answers to the files of the browser. */
const code = (body: (files: Files) => Promise<unknown>, site: string) =>
  `import('${site}/dist/platform-browser.js').then(({ platform }) => (${body})(platform.files))`

/** What a function answers to the files in a worker of the page; `prelude` is run before. */
const inWorker = <R>(page: Page, body: (files: Files) => Promise<R>, prelude = ''): Promise<R> =>
  page.evaluate(
    (source) => {
      const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))
      return new Promise<R>((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data)
        worker.onerror = (event) => reject(new Error(event.message))
      })
    },
    `globalThis.__name = (f) => f;${prelude};${code(body, new URL(page.url()).origin)}
      .then(postMessage, (e) => postMessage(String(e)))`,
  )

/** A browser in which only handles of a worker's own can write: Safari before 26. */
const handlesOnly = 'delete FileSystemFileHandle.prototype.createWritable'

test('files behave in a page as the disk does in Node: whole or as they were, with its error codes', () =>
  withPage(async (page) => assert.equal(await page.evaluate(code(useFiles, '')), expected)))

test('files behave the same in a worker, also where only handles of its own can write', () =>
  withPage(async (page) => {
    assert.equal(await inWorker(page, useFiles), expected)
    assert.equal(await inWorker(page, useFiles, handlesOnly), expected)
  }))

/** Writes, adds and makes files that are too large; what was said, and what is there afterwards. */
async function overfill(files: Files): Promise<{ said: string[]; kept: string[]; names: string[] }> {
  const text = async (path: string) => new TextDecoder().decode(await files.read(path))
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => 'nothing thrown',
      (error) => `${error.name} ${error.message}`,
    )
  await files.remove('/full')
  await files.makeFolder('/full')
  await files.writeAtomic('/full/kept', 'kept')
  await files.append('/full/lines', 'one\n')
  async function* parts() {
    for (let i = 0; i < 6; i++) yield new Uint8Array(5e5)
  }
  const said = [
    await failure(files.writeAtomic('/full/kept', new Uint8Array(3e6))),
    await failure(files.writeAtomic('/full/kept', parts())),
    await failure(files.writeAtomic('/full/new', parts())),
    await failure(files.append('/full/lines', 'x'.repeat(3e6))),
    await failure(files.append('/full/more', 'x'.repeat(3e6))),
  ]
  const kept = [await text('/full/kept'), await text('/full/lines')]
  await files.append('/full/lines', 'two\n')
  kept.push(await text('/full/lines'))
  return { said, kept, names: await files.list('/full') }
}

function checkFull({ said, kept, names }: Awaited<ReturnType<typeof overfill>>): void {
  const paths = ['kept', 'kept', 'new', 'lines', 'more']
  for (const [i, sentence] of said.entries()) {
    const start = `InputError /full/${paths[i]}: the browser's storage for this site is full (`
    assert.ok(sentence.startsWith(start), sentence)
    assert.match(sentence, /MB\); remove models, images or runs, or free space on the device$/)
  }
  assert.equal(kept, ['kept', 'one\n', 'one\ntwo\n'])
  assert.equal(names, ['kept', 'lines'])
}

test('full storage is one clear sentence and the file is as it was: a page and workers in a window with a quota of 1 MB', () =>
  withPage(async (page) => {
    const session = await page.context().newCDPSession(page)
    const origin = new URL(page.url()).origin
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1e6 })
    checkFull((await page.evaluate(code(overfill, ''))) as Awaited<ReturnType<typeof overfill>>)
    checkFull(await inWorker(page, overfill))
    checkFull(await inWorker(page, overfill, handlesOnly))
  }))

// What full storage makes of a handle's `write` where it throws nothing: a part of it, none, or an error as a count.
const counts = { 'part of it': 'done', none: '0', 'an error as a count': '4294967288' }
for (const [name, count] of Object.entries(counts)) {
  test(`a handle that answers a large write with ${name} is taken for full storage`, () =>
    withPage(async (page) => {
      const limited = `${handlesOnly}
        const { prototype } = FileSystemSyncAccessHandle
        const write = prototype.write
        prototype.write = function (data, options) {
          if ((options?.at ?? 0) + data.byteLength <= 1e6) return write.call(this, data, options)
          const done = write.call(this, data.subarray(0, 1000), options)
          return ${count}
        }`
      checkFull(await inWorker(page, overfill, limited))
    }))
}

test.run()
