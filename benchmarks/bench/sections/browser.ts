// Section browser: the small ViT's LoRA step in headless Chromium beside tfjs and jax-js: WASM with threads, and WebGPU on
// the software adapter that comes with the browser. Its times say nothing about a GPU: only who needs less work on one.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { available, openPage } from '../../../test/chromium.mjs'
import type { Contender, Kind, Run, Spec } from '../contender.ts'
import { type Bench, interleave, type Lane, lapOf, type Opener, rowOf } from '../measure.ts'
import { ratioOf, type Section, section } from '../result.ts'
import { smallVit } from '../shapes.ts'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const peers = 'benchmarks/bench/peers/node_modules'

const entries: Partial<Record<Kind, string>> = {
  vitune: at('../contenders/page-vitune.mjs'),
  tfjs: at('../peers/page-tfjs.mjs'),
  jax: at('../peers/page-jax.mjs'),
}

/** One contender as a module for a page. */
async function bundle(kind: Kind): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entries[kind]!],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    logLevel: 'silent',
    alias: Object.fromEntries([
      ...['data', 'models', 'tensor', 'train'].map((name) => [
        `vitune/${name}`,
        at(`../../../dist/browser-${name}.js`),
      ]),
      ['vitune', at('../../../dist/browser.js')],
    ]),
    external: ['node:*'],
  })
  return outputFiles[0]!.text
}

interface PageContender {
  readonly versions: Record<string, string>
  run(index: number): Promise<number>
}

/** A contender in a page of its own, cross-origin isolated so that it may have threads. */
const openInPage: Opener = async ({ kind, who, spec }): Promise<Contender> => {
  const code = await bundle(kind)
  const { page, close } = await openPage({ isolated: true, routes: { '/contender.js': code } })
  // A page that hangs must not hold up the rest.
  page.setDefaultTimeout(0)
  try {
    const versions = await page.evaluate(
      async ([path, text]) => {
        const { open } = (await import(path!)) as { open(spec: unknown): Promise<PageContender> }
        const contender = await open(JSON.parse(text!))
        Object.assign(globalThis, { contender })
        return contender.versions
      },
      ['/contender.js', JSON.stringify(spec)],
    )
    return {
      who,
      versions,
      notes: [],
      facts: {},
      run: (index = 0): Promise<Run> =>
        page.evaluate(async (i) => {
          const { contender } = globalThis as unknown as { contender: PageContender }
          const begun = performance.now()
          const value = await contender.run(i)
          return { ms: performance.now() - begun, value, rss: 0 }
        }, index),
      close: () => void close().catch(() => {}),
    }
  } catch (error) {
    await close()
    throw new Error(`${who}: ${(error as Error).message.split('\n')[0]}`)
  }
}

/** Runs the section. */
export async function browser(bench: Bench): Promise<Section> {
  const to = section('browser', "Small ViT's LoRA step in headless Chromium, ms a step")
  const why = available()
  if (why !== true) {
    to.notes.push(`left out, Chromium: ${why}`)
    return to
  }
  const { threads, quick } = bench
  const shape = smallVit
  const files = `/${peers}/@tensorflow/tfjs-backend-wasm/dist/`
  const spec: Spec = { work: 'vit', shape, threads, method: 'lora', files }
  for (const [device, batch, rounds, atMost, limits] of [
    ['wasm', 64, quick ? 3 : 10, quick ? 1 : 2, { tfjs: undefined, jax: undefined }],
    ['webgpu', 2, quick ? 1 : 3, quick ? 1 : 3, { tfjs: 1, jax: 1 }],
  ] as const) {
    if (bench.signal.aborted) break
    const on = device === 'wasm' ? `WASM, ${threads} thread(s)` : 'WebGPU in software'
    const what = `${on}, batch ${batch}`
    const lane = (kind: Kind, who: string, more: Partial<Lane> = {}): Lane => ({
      kind,
      who,
      what,
      spec: { ...spec, device, batch },
      ...more,
    })
    const lanes = [lane('vitune', 'vitune'), lane('tfjs', 'tfjs', { atMost }), lane('jax', 'jax-js', { atMost })]
    const laps = await interleave(bench, to, lanes, { rounds, warm: device === 'wasm' ? 2 : 1, open: openInPage })
    for (const lap of laps) to.rows.push(rowOf(lap, 'ms', false, (ms) => ms))
    const ours = lapOf(laps, 'vitune', what)
    for (const [kind, who] of [
      ['tfjs', 'tfjs'],
      ['jax', 'jax-js'],
    ] as const) {
      const peer = lapOf(laps, who, what)
      const limit = limits[kind]
      if (!ours || !peer || limit === undefined) continue
      const value = ratioOf(ours.ms, peer.ms)
      to.checks.push({ what: `${what}: of ${who}'s time`, value, limit, atMost: true, unit: 'x' })
    }
  }
  to.notes.push('WebGPU runs on a software adapter here: compare, and do not take its times for those of a GPU')
  return to
}
