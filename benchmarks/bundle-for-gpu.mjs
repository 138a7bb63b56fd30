// Makes one file of at most 60 MB that runs vitune on the GPU of a bare Linux machine (x64): Node 24, Dawn, Vulkan's loader,
// dist/, the built kernel and loss suites with their stored values, and benchmarks/bench/gpu.ts, which runs all of it.
// node benchmarks/bundle-for-gpu.mjs [FILE]        (default runs/vitune-gpu.sh; after npm run build)
// Then, there: sh vitune-gpu.sh --out FOLDER
import { spawn } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { createGzip } from 'node:zlib'
import { build } from 'esbuild'
import { install, packaged } from '../test/engines/install.mjs'
import { carried, unpackDriver } from '../test/unpack.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const MOST = 60e6
const suites = ['kernels', 'losses']
/** What those read of test/fixtures. */
const fixtures = ['losses', 'checkpoints/vit']
/** What dist/ and the suites import. */
const packages = ['valibot', 'uvu', 'dequal', 'diff', 'kleur', 'mri']

/** A test asks for files beside its source: where that would be, seen from the one file that it is bundled into. */
const ownAddress = {
  name: 'own-address',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const place = JSON.stringify(relative(join(root, 'test'), path))
      const text = readFileSync(path, 'utf8')
      return { contents: text.replaceAll('import.meta.url', `new URL(${place}, import.meta.url).href`), loader: 'ts' }
    })
  },
}

const common = {
  bundle: true,
  packages: 'external',
  external: ['#platform'],
  platform: 'node',
  format: 'esm',
  target: 'node24',
  ignoreAnnotations: true, // package.json says that nothing here has side effects; lists of cases do
  tsconfigRaw: {},
  logLevel: 'warning',
}

/** Lays out everything below `folder`. */
async function layOut(folder) {
  const put = (from, to) => {
    mkdirSync(dirname(join(folder, to)), { recursive: true })
    cpSync(join(root, from), join(folder, to), { recursive: true, dereference: true })
  }
  await install()
  const node = packaged.find(({ name }) => name === 'node-24').file
  mkdirSync(join(folder, 'bin'))
  copyFileSync(node, join(folder, 'bin/node'))
  chmodSync(join(folder, 'bin/node'), 0o755)

  const { name, version, type, imports, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const own = 'node_modules/vitune'
  cpSync(join(root, 'dist'), join(folder, own, 'dist'), {
    recursive: true,
    filter: (path) => !/\/dist\/(demo|types|browser|start|cli|stamp)/.test(path),
  })
  writeFileSync(join(folder, own, 'package.json'), JSON.stringify({ name, version, type, imports, exports }))
  for (const name of packages) put(`node_modules/${name}`, `node_modules/${name}`)
  for (const file of ['package.json', 'index.js', 'LICENSE.md', 'dist/linux-x64/dawn.node']) {
    put(`node_modules/webgpu/${file}`, `node_modules/webgpu/${file}`)
  }
  if (carried() !== true) throw new Error(carried())
  mkdirSync(join(folder, 'vulkan'))
  copyFileSync(join(await unpackDriver(), 'libvulkan.so.1'), join(folder, 'vulkan/libvulkan.so.1'))

  await build({
    ...common,
    entryPoints: suites.map((name) => join(root, `test/${name}.test.ts`)),
    outdir: join(folder, 'test'),
    entryNames: '[name]',
    plugins: [ownAddress],
  })
  for (const path of fixtures) put(`test/fixtures/${path}`, `test/fixtures/${path}`)
  const bench = 'benchmarks/bench'
  await build({ ...common, entryPoints: [join(root, bench, 'gpu.ts')], outfile: join(folder, 'bench/gpu.js') })
  for (const file of ['contenders/host.mjs', 'contenders/vitune.mjs', 'contenders/vit.mjs', 'contenders/noise.mjs']) {
    put(`${bench}/${file}`, `bench/${file}`)
  }
  put(`${bench}/peers/pytorch.py`, 'bench/peers/pytorch.py')
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }))
}

const file = resolve(process.argv[2] ?? join(root, 'runs/vitune-gpu.sh'))
const folder = mkdtempSync(join(tmpdir(), 'vitune-bundle-'))
try {
  await layOut(folder)
  mkdirSync(dirname(file), { recursive: true })
  const start = readFileSync(join(root, 'benchmarks/gpu/start.sh'), 'utf8')
  writeFileSync(file, start.replace('LINE', String(start.split('\n').length)))
  const tar = spawn('tar', ['-cf', '-', '--owner=0', '--group=0', '-C', folder, '.'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await pipeline(tar.stdout, createGzip({ level: 6 }), createWriteStream(file, { flags: 'a' }))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
const { size } = statSync(file)
console.log(`${file}: ${(size / 1e6).toFixed(1)} MB`)
if (size > MOST) {
  console.error(`more than ${MOST / 1e6} MB`)
  process.exitCode = 1
}
