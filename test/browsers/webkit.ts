// WebKitGTK's MiniBrowser on a screen of its own (Xvfb), driven by WebKitWebDriver over classic WebDriver: a few calls, so
// they are made here.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Browser } from './driver.ts'
import { miniBrowser } from './installed.mjs'

/** The name by which WebDriver returns an element. */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'

const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill()
  await ended
}

/** A screen, and its name once it is there. */
async function openScreen(): Promise<{ screen: ChildProcess; display: string }> {
  const args = ['-displayfd', '3', '-screen', '0', '1400x1000x24', '-nolisten', 'tcp']
  const screen = spawn('Xvfb', args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
  const [number] = (await once(screen.stdio[3]!, 'data')) as [Buffer]
  return { screen, display: `:${String(number).trim()}` }
}

/** Starts the driver on a free port: it says nothing, so it is asked until it answers. */
async function openDriver(display: string, home: string): Promise<{ driver: ChildProcess; address: string }> {
  const port = 20_000 + Math.floor(Math.random() * 20_000)
  const env = {
    ...process.env,
    DISPLAY: display,
    HOME: home,
    XDG_CONFIG_HOME: `${home}/.config`,
    XDG_DATA_HOME: `${home}/.data`,
  }
  const driver = spawn('WebKitWebDriver', ['-p', String(port)], { env, stdio: 'ignore' })
  const address = `http://127.0.0.1:${port}`
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${address}/status`).catch(() => undefined)
    if (answer?.ok) return { driver, address }
    if (tries > 300 || driver.exitCode !== null) throw new Error('webkit: the driver did not start')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Starts MiniBrowser; `home` is its home folder. */
export async function openWebkit(home: string): Promise<Browser> {
  const { screen, display } = await openScreen()
  const { driver, address } = await openDriver(display, home).catch(async (error) => {
    await end(screen)
    throw error
  })
  const call = async (method: string, path: string, body?: unknown): Promise<never> => {
    const answer = await fetch(address + path, { method, ...(body ? { body: JSON.stringify(body) } : {}) })
    const { value } = (await answer.json()) as { value: { error?: string; message?: string } | null }
    if (value?.error) throw new Error(`webkit: ${method} ${path}: ${value.error}, ${value.message}`)
    return value as never
  }
  const stop = async () => {
    await end(driver)
    await end(screen)
  }
  try {
    const options = { binary: miniBrowser(), args: ['--automation'] }
    const capabilities = { alwaysMatch: { 'webkitgtk:browserOptions': options, unhandledPromptBehavior: 'accept' } }
    const started: { sessionId: string; capabilities: { browserVersion: string } } = await call('POST', '/session', {
      capabilities,
    })
    const session = `/session/${started.sessionId}`
    await call('POST', `${session}/timeouts`, { script: 240_000, pageLoad: 60_000 })
    return {
      name: 'WebKitGTK',
      version: started.capabilities.browserVersion,
      downloads: undefined,
      errors: [],
      open: (url) => call('POST', `${session}/url`, { url }),
      reload: () => call('POST', `${session}/refresh`, {}),
      async run(body, argument) {
        const script = `const done = arguments[1]
          Promise.resolve(arguments[0]).then(${body}).then((value) => done({ value }), (error) => done({ failed: error.stack + ' ' + error }))`
        const { value, failed }: { value: Awaited<ReturnType<typeof body>>; failed?: string } = await call(
          'POST',
          `${session}/execute/async`,
          { script, args: [argument] },
        )
        if (failed) throw new Error(failed)
        return value
      },
      async click(xpath) {
        const found: { [ELEMENT]: string } = await call('POST', `${session}/element`, { using: 'xpath', value: xpath })
        await call('POST', `${session}/element/${found[ELEMENT]}/click`, {})
      },
      async close() {
        try {
          await call('DELETE', session)
        } finally {
          await stop()
        }
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}
