// Test files of the repository in a real headless Chromium: every kernel, the promises of a backend, the ten losses,
// multi-label, trees. Each file is bundled for a page with the browser build as `vitune`, and each of its tests is a test of the
// same name here.
import { readdirSync, statSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { test } from 'uvu'
import { openPage } from '../chromium.mjs'
import { importMap } from '../serve.mjs'

const files = ['kernels', 'backend', 'losses', 'multilabel', 'hierarchical']
const here = fileURLToPath(new URL('..', import.meta.url))

/** What takes another's place in a page. */
const inPage: Record<string, string> = { uvu: 'page/uvu.ts', './fixtures.ts': 'page/fixtures.ts' }

async function bundle(file: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(here, `${file}.test.ts`)],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    ignoreAnnotations: true, // package.json says that nothing here has side effects; the lists of cases do
    define: {
      'process.env.VITUNE_TEST_WEBGPU': '"1"',
      'process.env.VITUNE_TEST_PAGE': '"1"',
      'process.env.VITUNE_TEST_ONLY': '""',
    },
    external: ['vitune'],
    plugins: [
      {
        name: 'in-page',
        setup({ onResolve }) {
          onResolve({ filter: /^(uvu|\.\/fixtures\.ts)$/ }, ({ path }) => ({ path: join(here, inPage[path]!) }))
        },
      },
    ],
  })
  return outputFiles[0]!.text
}

/** Paths of the files in a stored folder, or of one file, below fixtures/. */
function list(path: string): string[] {
  const full = join(here, 'fixtures', path)
  if (statSync(full).isFile()) return [path]
  return readdirSync(full, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(full, name)).isFile())
    .map((name) => `${path}/${name}`)
}

interface Suite {
  names(): string[]
  run(at: number): Promise<string | undefined>
}
const suite = () => (globalThis as unknown as { suite: Suite }).suite

for (const file of files) {
  const script = await bundle(file)
  const html = `<!doctype html><link rel="icon" href="data:,">${importMap}
<script type="module">import '/suite.js'; globalThis.ready = true</script>`
  const routes = {
    '/': html,
    '/suite.js': script,
    '/list': (request: IncomingMessage) => ({
      body: JSON.stringify(list(decodeURIComponent(request.url!.split('?')[1]!))),
      type: 'application/json',
    }),
  }
  const { page, errors, close } = await openPage({ routes })
  await page.waitForFunction('globalThis.ready', undefined, { timeout: 30_000 }).catch((error: Error) => {
    throw new Error(`${file}: did not load in Chromium, ${errors.join('\n') || error.message}`)
  })
  const names = (await page.evaluate(`(${suite})().names()`)) as string[]
  for (const [at, name] of names.entries()) {
    test(`Chromium, ${file}: ${name}`, async () => {
      const failure = await page.evaluate(`(${suite})().run(${at})`)
      if (failure) throw new Error(String(failure))
    })
  }
  test(`Chromium, ${file}: the page is closed`, close)
}

test.run()
