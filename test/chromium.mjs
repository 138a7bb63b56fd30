// A headless Chromium with WebGPU in software, out of npm packages alone, and a page in it served from this repository.
// One browser for each process, started by the first page and ended by the last; every page has a context of its own.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serve } from './serve.mjs'
import { carried, unpackBrowser } from './unpack.mjs'

const flags = [
  '--no-sandbox',
  // WebGPU on SwiftShader; Chromium offers it on Linux only when asked.
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  // A camera that shows a moving picture, and may be used without asking.
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  // Nothing leaves the machine.
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Tabs that are not in front run at full speed.
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
]

/** True, or why tests cannot run in Chromium here. VITUNE_CHROMIUM names another browser; VITUNE_WITHOUT=chromium hides it. */
export function available() {
  if (process.env.VITUNE_WITHOUT?.split(',').includes('chromium')) return 'VITUNE_WITHOUT hides it'
  const own = process.env.VITUNE_CHROMIUM
  if (own) return existsSync(own) || `VITUNE_CHROMIUM names no file: ${own}`
  return carried()
}

/** Where the browser is and what it needs in its environment: NSS and a font, which a bare machine lacks. */
async function program() {
  if (process.env.VITUNE_CHROMIUM) return { executablePath: process.env.VITUNE_CHROMIUM }
  const folder = await unpackBrowser()
  const config = join(tmpdir(), 'vitune-fonts')
  mkdirSync(config, { recursive: true })
  const dirs = [folder, '/usr/share/fonts'].map((dir) => `<dir>${dir}</dir>`).join('')
  const fonts = `<?xml version="1.0"?><fontconfig>${dirs}<cachedir>${join(config, 'cache')}</cachedir></fontconfig>`
  writeFileSync(join(config, 'fonts.conf'), fonts)
  const libraries = [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':')
  const env = { ...process.env, LD_LIBRARY_PATH: libraries, FONTCONFIG_PATH: config }
  return { executablePath: join(folder, 'chromium'), env }
}

/** The one browser: a promise while pages are open. */
let browser
let pages = 0

async function launch() {
  const why = available()
  if (why !== true) throw new Error(`chromium: must be there, got: ${why}`)
  const { chromium } = await import('playwright-core')
  return chromium.launch({ ...(await program()), args: flags, headless: true })
}

async function leave() {
  if (--pages > 0) return
  const last = browser
  browser = undefined
  await (await last)?.close()
}

/**
 * An open page at `path`. `routes`, `isolated`, `root`: see serve(). `context`: playwright's options (viewport, colour scheme).
 * `errors` fills with what the page throws and logs as an error. Ends the page, its server and the last page's browser by close().
 */
export async function openPage({ isolated, routes = {}, root, path = '/', context: options = {} } = {}) {
  const blank = { '/': '<!doctype html><title>vitune</title><link rel="icon" href="data:,">' }
  pages++
  const server = await serve({ isolated, root, routes: root ? routes : { ...blank, ...routes } })
  try {
    browser ??= launch()
    const context = await (await browser).newContext(options)
    // tsx wraps functions in this name, which functions that a test runs in the page then ask for.
    await context.addInitScript('globalThis.__name ??= (f) => f')
    const page = await context.newPage()
    const errors = []
    page.on('pageerror', (error) => errors.push(error.stack ?? String(error)))
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text())
    })
    await page.goto(server.url + path)
    const close = async () => {
      await context.close()
      await server.close()
      await leave()
    }
    return { page, context, url: server.url, errors, close }
  } catch (error) {
    await server.close()
    await leave().catch(() => {}) // the first error says more
    throw error
  }
}
