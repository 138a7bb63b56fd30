// Firefox, driven over WebDriver BiDi; and Firefox that nobody drives, for what needs workers of workers.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LaunchOptions, launch } from 'puppeteer-core'
import { type Route, serve } from '../serve.mjs'
import type { Browser } from './driver.ts'
import { firefox } from './installed.mjs'

const start = (options: LaunchOptions) =>
  launch({
    browser: 'firefox',
    executablePath: firefox()!,
    headless: true,
    // A busy machine is slow to start one.
    timeout: 60_000,
    protocolTimeout: 240_000,
    ...options,
  })

/**
 * Starts Firefox; downloads go to `downloads`. `isPrivate`: every window is a private one. It says that it has one processor:
 * while a BiDi session is open, one in some forty `new Worker` calls in a worker of Firefox 153 never returns, and a second
 * thread would need such calls (`runUndriven` is for that).
 */
export async function openFirefox(downloads: string, isPrivate = false): Promise<Browser> {
  const browser = await start({
    extraPrefsFirefox: {
      'browser.download.dir': downloads,
      'browser.download.folderList': 2,
      'browser.download.always_ask_before_handling_new_types': false,
      'browser.privatebrowsing.autostart': isPrivate,
      'dom.maxHardwareConcurrency': 1,
      'privacy.fingerprintingProtection.pbmode': false, // which would tell of four again
    },
  })
  const [page] = await browser.pages()
  if (!page) throw new Error('firefox: started without a page')
  page.setDefaultTimeout(120_000)
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text())
  })
  page.on('dialog', (dialog) => void dialog.accept())
  return {
    name: 'Firefox',
    version: (await browser.version()).replace(/^firefox\//i, ''),
    downloads,
    errors,
    open: async (url) => void (await page.goto(url)),
    reload: async () => void (await page.reload()),
    run: (body, argument) =>
      page.evaluate(`(${body})(${JSON.stringify(argument)})`) as Promise<Awaited<ReturnType<typeof body>>>,
    click: (xpath) => page.locator(`::-p-xpath(${xpath})`).click(),
    close: () => browser.close(),
  }
}

/** Runs a function in an isolated page of a Firefox that is let go of before it begins; argument and result cross as JSON. */
export async function runUndriven<A, R>(body: (argument: A) => Promise<R>, argument: A): Promise<R> {
  let go = () => {}
  const free = new Promise<void>((resolve) => {
    go = resolve
  })
  let tell = (_: string) => {}
  const told = new Promise<string>((resolve) => {
    tell = resolve
  })
  const script = `await fetch('/go')
    const result = await (${body})(${JSON.stringify(argument)}).then((value) => ({ value }), (error) => ({ failed: String(error) }))
    await fetch('/result', { method: 'POST', body: JSON.stringify(result) })`
  const routes: Record<string, Route> = {
    '/': `<!doctype html><title>vitune</title><script type="module">${script}</script>`,
    '/go': () => free.then(() => ''),
    '/result': async (request) => {
      let text = ''
      for await (const chunk of request) text += chunk
      tell(text)
      return ''
    },
  }
  const server = await serve({ routes })
  const profile = mkdtempSync(join(tmpdir(), 'vitune-firefox-'))
  const browser = await start({ userDataDir: profile })
  const child = browser.process()!
  try {
    const [page] = await browser.pages()
    await page!.goto(server.url)
    await browser.disconnect()
    go()
    const late = new Promise<string>((resolve) => {
      setTimeout(() => resolve('{ "failed": "nothing was told in 120 s" }'), 120_000).unref()
    })
    const { value, failed } = JSON.parse(await Promise.race([told, late])) as { value: R; failed?: string }
    if (failed !== undefined) throw new Error(failed)
    return value
  } finally {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    await server.close()
    rmSync(profile, { recursive: true, force: true })
  }
}
