// Builds dist/: for Node index.js, one file a further address of the package, cli.js and start.js (shared chunks); browser.js
// with nothing left to import, which the further addresses' browser-*.js take their names from; demo/.
// `#platform` becomes platform/node.ts or platform/browser.ts; `wasm:kernels` the compiled kernels, packed in base64;
// `worker:image-worker` the text of what makes images there.
// Type declarations are not made here (.ci/tsconfig.types.json).

import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'
import asc from 'assemblyscript/asc'
import { transform } from 'esbuild'
import { rollup } from 'rollup'
import esbuild from 'rollup-plugin-esbuild'
import { demoFiles, demoPackages } from './.ci/demo-files.mjs'
import { walk, withShortNames } from './.ci/short-names.mjs'

const root = fileURLToPath(new URL('.', import.meta.url))
const cache = join(root, 'node_modules/.cache/vitune')

// Kernels get their memory from the caller and keep no heap; threads share one memory of up to 4 GiB.
const flags = '-O3 --noAssert --runtime stub --importMemory --noExportMemory --use abort= --enable simd'.split(' ')
const relaxed = ['--enable', 'relaxed-simd']
const threads = ['--enable', 'threads', '--sharedMemory', '--maximumMemory', '65536']
const narrow = ['--use', 'WIDE=0']
/** Tiles twice as wide, for Node's engine where it joins neighbouring vectors; a page cannot ask for that. */
const wide = ['--use', 'WIDE=1', ...relaxed]
const kernels = {
  simd: narrow,
  relaxed: [...narrow, ...relaxed],
  'simd-threads': [...narrow, ...threads],
  'relaxed-threads': [...narrow, ...relaxed, ...threads],
}
const wideKernels = {
  wide,
  'wide-threads': [...wide, ...threads],
  'narrow-probe': [...narrow, ...relaxed],
  'wide-probe': wide,
}

const assemblyFiles = () =>
  readdirSync(join(root, 'assembly'), { recursive: true })
    .filter((name) => name.endsWith('.ts'))
    .sort()

/** Names what the bytes depend on: assembly/, the compiler, its flags. */
function keyOf(args) {
  const hash = createHash('sha256').update(`${asc.version} ${args.join(' ')}`)
  for (const name of assemblyFiles()) hash.update(`\0${name}\0`).update(readFileSync(join(root, 'assembly', name)))
  return hash.digest('hex').slice(0, 24)
}

/** One variant, from the cache where nothing has changed. */
async function compile(variant, own) {
  const entry = `assembly/${variant.endsWith('probe') ? 'probe' : 'index'}.ts`
  const args = [entry, ...flags, ...own]
  const file = join(cache, variant, `${keyOf(args)}.wasm`)
  if (existsSync(file)) return readFileSync(file)
  let wasm
  const { error, stderr } = await asc.main([...args, '--baseDir', root, '--outFile', 'out.wasm'], {
    writeFile: (_, contents) => {
      wasm = contents
    },
  })
  if (error || !wasm) throw new Error(`asc ${variant}: ${error?.message ?? 'no output'}\n${stderr}`)
  rmSync(join(cache, variant), { recursive: true, force: true })
  mkdirSync(join(cache, variant), { recursive: true })
  writeFileSync(`${file}.${process.pid}`, wasm)
  renameSync(`${file}.${process.pid}`, file)
  return wasm
}

const parts = 10
/** All of a set: deflated before base64, in which gzip finds little, and in turns, so that what they share lies close enough. */
async function packed(set) {
  const all = []
  for (const [variant, own] of Object.entries(set)) all.push(await compile(variant, own))
  const cut = (bytes, part) =>
    bytes.subarray(Math.floor((bytes.length * part) / parts), Math.floor((bytes.length * (part + 1)) / parts))
  const turns = Array.from({ length: parts }, (_, part) => all.map((bytes) => cut(bytes, part))).flat()
  const text = deflateRawSync(Buffer.concat(turns), { level: 9 }).toString('base64')
  return { packed: text, parts, sizes: all.map((bytes) => bytes.length) }
}

const wasm = {
  name: 'wasm',
  resolveId: (id) => (/^wasm:/.test(id) ? `\0${id}` : undefined),
  async load(id) {
    if (!/^\0wasm:/.test(id)) return undefined
    for (const name of assemblyFiles()) this.addWatchFile(join(root, 'assembly', name))
    return `export default ${JSON.stringify(await packed(id === '\0wasm:wide' ? wideKernels : kernels))}`
  },
}

/** In the session's worker: texts that the page has already come from there (src/web/session.ts). */
const textsOfPage = {
  name: 'texts-of-page',
  resolveId: (id) => (/^(wasm|worker):/.test(id) ? `\0${id}` : undefined),
  load(id) {
    if (id === '\0worker:image-worker') return 'export const source = () => VITUNE_TEXTS.imageWorker'
    return id === '\0wasm:kernels' ? 'export default VITUNE_TEXTS.kernels' : undefined
  },
}

const platform = (name) => ({
  name: 'platform',
  resolveId(id, from) {
    if (id === '#platform') return join(root, `src/platform/${name}.ts`)
    if (name !== 'browser') return undefined
    // Layouts of published sets are of no use in a page, nor are kernels that it cannot have compiled, nor loops that are slow.
    if (id === './formats/registry.ts') return join(root, 'src/data/sources/formats/none.ts')
    if (id === './wide.ts') return join(root, 'src/backend/wasm/wide-none.ts')
    const slow = id === './reference/reference.ts' && from?.endsWith('backend/create.ts')
    return slow ? join(root, 'src/backend/reference/none.ts') : undefined
  },
})

/** Packages that are bundled as our own files are, and their files. */
const bundledPackages = { papaparse: 'papaparse/papaparse.js', valibot: 'valibot/dist/index.mjs' }
const bundled = {
  name: 'bundled',
  resolveId: (id) => (Object.hasOwn(bundledPackages, id) ? join(root, 'node_modules', bundledPackages[id]) : undefined),
  // It is no module: it looks for whatever may take it.
  transform(code, id) {
    if (!id.endsWith('papaparse.js')) return undefined
    const shell = 'const module = { exports: {} }, exports = {}, define = undefined;\n'
    return { code: `${shell}(function () {\n${code}\n}).call({})\nexport default module.exports`, map: null }
  },
}

/** Every other package and every node: module stays an import; valibot in Node alone, where it is installed for its types. */
const externalOfPage = (id) => !Object.hasOwn(bundledPackages, id) && !/^([./#\0]|(wasm|web|worker):)/.test(id)
const external = (id) => id === 'valibot' || externalOfPage(id)

/** WGSL in what a page loads: without comments, and in one line, since a line's end is six letters in the worker's text. */
const shaders = {
  name: 'shaders',
  transform(code, id) {
    if (!/\/backend\/webgpu\/kernels\//.test(id)) return undefined
    const templates = []
    walk(this.parse(code), (node) => node.type === 'TemplateElement' && templates.push(node))
    const out = []
    let at = 0
    for (const { start, end } of templates.sort((a, b) => a.start - b.start)) {
      const text = code
        .slice(start, end)
        .replace(/(^|\s)\/\/[^\n]*/g, '$1')
        .replace(/\s*\n\s*/g, ' ')
      out.push(code.slice(at, start), text)
      at = end
    }
    return { code: out.join('') + code.slice(at), map: null }
  },
}

/** Shared chunks of an earlier build would otherwise stay in the package; `npx vitune` in a clone needs a file that may run. */
const tidy = {
  name: 'tidy',
  writeBundle({ dir }, bundle) {
    for (const name of readdirSync(dir)) if (/^shared-/.test(name) && !(name in bundle)) rmSync(join(dir, name))
    if ('cli.js' in bundle) chmodSync(join(dir, 'cli.js'), 0o755)
  },
}

/** What loads a package on demand rejects instead: browser.js names no package, so that no bundler looks for one. */
const refusePackages = {
  name: 'refuse-packages',
  renderDynamicImport: ({ targetModuleId }) =>
    targetModuleId && !externalOfPage(targetModuleId)
      ? undefined
      : { left: "Promise.reject(new Error('not in the browser build: ' + ", right: '))' },
}

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const define = { VITUNE_VERSION: JSON.stringify(version) }
const compiler = (options) => esbuild({ target: 'es2022', tsconfig: false, define, ...options })

const compiled = (name) => (name === 'browser' ? [compiler(), shaders] : [compiler()])

/** A module with all it imports, in one chunk, for a worker to run. Under Node `require` finds packages there. */
async function chunkOf(context, file, format, plugins, isExternal = external) {
  const bundle = await rollup({ input: join(root, 'src', file), external: isExternal, plugins })
  const output = { format, indent: false, dynamicImportInCjs: false, inlineDynamicImports: true }
  const [chunk] = (await bundle.generate(output)).output
  for (const watched of bundle.watchFiles) context.addWatchFile(watched)
  return chunk
}

/**
 * A chunk in pieces, one a module and what lies between, each minified by itself: names that modules share stay, so that a
 * module is the same text in whatever chunk it is.
 */
async function piecesOf(code, modules) {
  const pieces = []
  let at = 0
  for (const [id, module] of Object.entries(modules)) {
    const text = module.code ?? ''
    const from = text === '' ? -1 : code.indexOf(text, at)
    if (text !== '' && from < 0) throw new Error(`${id}: its code is not in the chunk`)
    if (from < 0) continue
    pieces.push(
      { text: code.slice(at, from) },
      { id, text: (await transform(text, { minify: true, target: 'es2022' })).code },
    )
    at = from + text.length
  }
  return [...pieces, { text: code.slice(at) }]
    .map(({ id, text }) => ({ id, text: text.trim() }))
    .filter(({ text }) => text !== '')
}

const quoted = (text) =>
  `'${text.replace(/[\\']/g, '\\$&').replace(/[\n\r\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}'`

/** Text has no address; src/platform/node.ts gives it that of the module that started it. */
const addressOfStarter = {
  name: 'address-of-starter',
  resolveImportMeta: (property) => (property === 'url' ? 'moduleAddress' : null),
}

/** `worker:image-worker`: what makes images beside the training, as text; in a page the session's worker, without texts. */
const imageWorker = (name) => ({
  name: 'image-worker',
  resolveId: (id) => (id === 'worker:image-worker' ? `\0${id}` : undefined),
  async load(id) {
    if (id !== '\0worker:image-worker') return undefined
    if (name === 'browser') {
      return "import { workerText } from 'web:worker'\nexport const source = () => 'const VITUNE_TEXTS={};' + workerText()"
    }
    const plugins = [platform(name), compiler({ minify: true }), addressOfStarter]
    const { code } = await chunkOf(this, 'data/image-worker-node.ts', 'cjs', plugins)
    return `export const source = () => ${JSON.stringify(code)}`
  },
})

/**
 * `web:worker`: the session's worker with all it imports, as text; empty in Node, which has no sessions. Each of its modules
 * stands right behind the same module of the page's, so that gzip, which looks back 32 KB, finds it twice.
 */
const worker = (build) => {
  let own = []
  return {
    name: 'worker',
    resolveId: (id) => (id === 'web:worker' ? `\0${id}` : undefined),
    async load(id) {
      if (id !== '\0web:worker') return undefined
      if (!build) return "export const workerText = () => ''"
      const plugins = [platform('browser'), textsOfPage, bundled, ...compiled('browser'), refusePackages]
      const { code, modules } = await chunkOf(this, 'web/worker.ts', 'iife', plugins, externalOfPage)
      own = await piecesOf(code, modules)
      // Called only once all of the page's code has run.
      return 'export const workerText = () => VITUNE_WORKER()'
    },
    async renderChunk(code, { modules }) {
      if (!build) return undefined
      const pieces = await piecesOf(code, modules)
      const mine = code.includes('VITUNE_WORKER') ? own : []
      const [texts, others] = withShortNames(...[pieces, mine].map((list) => list.map(({ text }) => text)))
      const left = new Map(mine.map(({ id }, i) => [i, { id, text: others[i] }]))
      const names = [...left.keys()].map((i) => `VITUNE_${i}`)
      const take = (wanted) => {
        const found = [...left].filter(([, { id }]) => wanted(id))
        for (const [i] of found) left.delete(i)
        return found.map(([i, { text }]) => `const VITUNE_${i}=${quoted(text)};`)
      }
      const out = []
      const last = pieces.at(-1)?.id === undefined ? texts.pop() : ''
      for (const [i, text] of texts.entries()) {
        const { id } = pieces[i]
        out.push(text, ...(id === undefined ? [] : take((other) => other === id)))
      }
      out.push(...take(() => true))
      if (names.length > 0) out.push(`function VITUNE_WORKER(){return [${names}].join('\\n')}`)
      return [...out, last].join('\n')
    },
  }
}

// What a page loads is made small.
const plugins = (name) => [
  platform(name),
  wasm,
  bundled,
  imageWorker(name),
  worker(name === 'browser'),
  ...compiled(name),
]

/** The further addresses of the package: `vitune/NAME` is src/public/NAME.ts. */
const names = readdirSync(join(root, 'src/public')).map((file) => file.replace('.ts', ''))
const addressFile = (name) => `src/public/${name}.ts`

/**
 * A page's code is all in browser.js, where one class is one class. It gives the further addresses, browser-NAME.js, what they
 * export under short names; these export what their source does and nothing more.
 */
const addresses = {
  name: 'addresses',
  buildStart() {
    const entry = { type: 'chunk', preserveSignature: 'strict' }
    for (const name of names)
      this.emitFile({ ...entry, id: join(root, addressFile(name)), fileName: `browser-${name}.js` })
  },
}

const entries = {
  index: 'src/index.ts',
  ...Object.fromEntries(names.map((name) => [name, addressFile(name)])),
  'platform-node': 'src/platform/node.ts',
  cli: 'src/cli/main.ts',
  start: 'benchmarks/start.ts',
}

export default [
  {
    input: Object.fromEntries(Object.entries(entries).filter(([, file]) => existsSync(join(root, file)))),
    output: {
      dir: 'dist',
      entryFileNames: '[name].js',
      chunkFileNames: 'shared-[name].js',
      banner: (chunk) => (chunk.name === 'cli' ? '#!/usr/bin/env node' : ''),
    },
    external,
    plugins: [...plugins('node'), tidy],
  },
  {
    input: { browser: 'src/index.ts' },
    preserveEntrySignatures: 'allow-extension',
    output: {
      dir: 'dist',
      entryFileNames: '[name].js',
      // What most pages do without stands in the file of its address alone.
      manualChunks: (id) =>
        names.some((name) => id === join(root, addressFile(name))) ||
        /\/src\/(settings\/otx|report|backend\/reference)\/(?!none)/.test(id)
          ? undefined
          : 'browser',
    },
    external: externalOfPage,
    plugins: [addresses, ...plugins('browser'), refusePackages],
  },
  {
    input: 'src/platform/browser.ts',
    output: { file: 'dist/platform-browser.js' },
    external: externalOfPage,
    plugins: plugins('browser'),
  },
  {
    input: 'src/demo/main.ts',
    output: { file: 'dist/demo/demo.js', inlineDynamicImports: true },
    external: (id) => !Object.hasOwn(demoPackages, id) && externalOfPage(id),
    plugins: [demoFiles(root, join(root, 'dist/demo')), ...plugins('browser'), refusePackages],
  },
  {
    input: 'src/demo/isolation-worker.ts',
    output: { file: 'dist/demo/isolation.js' },
    plugins: [compiler()],
  },
]
