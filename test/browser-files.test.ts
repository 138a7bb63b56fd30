// Files in a browser's own storage, in a real headless Chromium: the same answers as in Node, on the page and in a worker.
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Files } from '../src/platform/platform.ts'
import { openPage } from './chromium.mjs'

async function withPage(body: (page: Page) => Promise<void>): Promise<void> {
  const { page, errors, close } = await openPage()
  try {
    await body(page)
    assert.equal(errors, [])
  } finally {
    await close()
  }
}

/** In a page or a worker: every method of the files, as text of what came out. */
async function useFiles(site: string): Promise<string[]> {
  const url = `${site}/dist/platform-browser.js`
  const { platform } = (await import(url)) as { platform: { files: Files } }
  const { files } = platform
  const out: string[] = []
  const text = async (path: string) => new TextDecoder().decode(await files.read(path))
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => 'nothing thrown',
      (error) => `${error.name} ${error.code ?? ''} ${error.message}`,
    )
  await files.makeFolder('/a/b')
  await files.writeAtomic('/a/b/one.txt', 'one')
  await files.writeAtomic('/a/b/one.txt', 'two')
  out.push(await text('/a/b/one.txt'))
  async function* parts() {
    yield Uint8Array.of(1, 2)
    yield Uint8Array.of(3)
  }
  await files.writeAtomic('/a/parts', parts())
  out.push(String(await files.read('/a/parts')), String(await files.readRange('/a/parts', 1, 2)))
  out.push(await failure(files.readRange('/a/parts', 2, 2)))
  async function* breaking() {
    yield Uint8Array.of(9)
    throw new Error('broke off')
  }
  out.push(await failure(files.writeAtomic('/a/parts', breaking())), String(await files.read('/a/parts')))
  out.push(await failure(files.writeAtomic('/a/new', breaking())), String(await files.kind('/a/new')))
  await files.append('/a/lines', 'x\n')
  await files.append('/a/lines', 'y\n')
  out.push(await text('/a/lines'))
  out.push(String([await files.size('/a/parts'), await files.size('/a/none'), await files.size('/a')]))
  out.push(String([await files.kind('/a'), await files.kind('/a/parts'), await files.kind('/a/parts/x')]))
  out.push(String(await files.list('/a')))
  out.push(await failure(files.read('/a/none')), await failure(files.list('/none')))
  await files.remove('/a/b')
  await files.remove('/a/none')
  out.push(String(await files.list('/a')))
  out.push(files.join('/a', '..', 'b'), files.resolve('/a/../b/./c'), files.baseName('/a/b/'))
  await files.remove('/a')
  return out
}

const expected = [
  'two',
  '1,2,3',
  '2,3',
  'Error  /a/parts: bytes 2 to 4 asked for, the file has 3',
  'Error  broke off',
  '1,2,3',
  'Error  broke off',
  'undefined',
  'x\ny\n',
  '3,,',
  'folder,file,',
  'b/,lines,parts',
  'Error ENOENT ENOENT: no such file or folder, /a/none',
  'Error ENOENT ENOENT: no such file or folder, /none',
  'lines,parts',
  '/a/../b',
  '/b/c',
  'b',
]

test('files behave in a page as the disk does in Node: whole or as they were, with its error codes', () =>
  withPage(async (page) => assert.equal(await page.evaluate(useFiles, ''), expected)))

test('files behave the same in a worker, also where only handles of its own can write', () =>
  withPage(async (page) => {
    const inWorker = (prelude: string) =>
      page.evaluate(
        (source) => {
          const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))
          return new Promise((resolve, reject) => {
            worker.onmessage = ({ data }) => resolve(data)
            worker.onerror = (event) => reject(new Error(event.message))
          })
        },
        `globalThis.__name = (f) => f;${prelude};const run = ${useFiles}
         run(location.origin).then(postMessage, (e) => postMessage(String(e)))`,
      )
    assert.equal(await inWorker(''), expected)
    // Safari before 26.
    assert.equal(await inWorker('delete FileSystemFileHandle.prototype.createWritable'), expected)
  }))

test('full storage is one clear sentence, and the file is as it was', () =>
  withPage(async (page) => {
    const session = await page.context().newCDPSession(page)
    const origin = new URL(page.url()).origin
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1e6 })
    const found = await page.evaluate(async () => {
      const url = '/dist/platform-browser.js'
      const { platform } = (await import(url)) as { platform: { files: Files } }
      const { files } = platform
      await files.writeAtomic('/kept', 'kept')
      const error = await files.writeAtomic('/kept', new Uint8Array(3e6)).catch((e) => e)
      return [error.name, error.message, new TextDecoder().decode(await files.read('/kept'))]
    })
    assert.is(found[0], 'InputError')
    assert.match(found[1], /^\/kept: the browser's storage for this site is full \(\d of 1 MB\); remove models, images/)
    assert.is(found[2], 'kept')
  }))

test.run()
