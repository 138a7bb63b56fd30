// The packed package, installed into an empty folder as a user would: what is in it, that it loads, and that its types
// check. Needs npm's cache or a registry for the dependencies.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'vitune-package-'))
const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string; exports: object }

/** Standard output of a program; on failure throws with everything it said. */
function run(command: string, args: string[], cwd: string): string {
  try {
    // The settings that npm hands down to scripts belong to this clone, not to the folder.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^npm_(?!config_(registry|cache))/.test(name)),
    )
    return execFileSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`.slice(0, 3000))
  }
}
const node = (...args: string[]) => run(process.execPath, args, folder)

const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]
const [packed] = JSON.parse(run('npm', pack, root)) as {
  filename: string
  size: number
  files: { path: string; size: number }[]
}[]
writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true, "type": "module" }')
const tarball = join(folder, packed!.filename)
run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', tarball], folder)
const installed = join(folder, 'node_modules/vitune')

test.after(() => rmSync(folder, { recursive: true, force: true }))

test('the package holds what was built and nothing else: 2 MB, and a page with a model in 3.5 MB', () => {
  const strange = packed!.files
    .map((file) => file.path)
    .filter(
      (path) =>
        !/^(dist\/[\w-]+\.js|dist\/demo\/[\w./-]+|dist\/types\/.+\.d\.ts|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(
          path,
        ),
    )
  assert.equal(strange, [])
  assert.ok(packed!.files.some((file) => file.path === 'LICENSE'))
  assert.not(packed!.files.some((file) => file.path === 'dist/start.js'))
  // Packed, since weights do not shrink as text does.
  const page = packed!.files
    .filter((file) => file.path.startsWith('dist/demo/'))
    .map((file) => gzipSync(readFileSync(join(installed, file.path))).length)
    .reduce((sum, size) => sum + size, 0)
  assert.ok(page > 2e6 && page < 3.5e6, `${page} bytes of the page`)
  assert.ok(packed!.size - page < 2e6, `${packed!.size - page} bytes of the rest`)
})

/** What the package can be imported by. */
const addresses = Object.keys(own.exports)
  .filter((path) => path !== './package.json')
  .map((path) => path.replace('.', 'vitune'))

test('every path that package.json names is there', () => {
  const { exports, imports, bin } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  const paths = JSON.stringify([exports, imports, bin]).match(/(?<=:")(\.\/|dist\/)[^"]+/g)!
  assert.ok(paths.length >= 8 + 3 * (addresses.length - 1))
  for (const path of paths) assert.ok(statSync(join(installed, path)).isFile(), path)
})

test('it can be imported in Node, and everything its declarations promise is there', () => {
  const lines: string[] = []
  const all: string[] = []
  for (const address of addresses) {
    const names: string[] = JSON.parse(
      node('-e', `import('${address}').then((m) => console.log(JSON.stringify(Object.keys(m))))`),
    )
    // Asks for each name as a value: a name that only the declarations or only the code has fails to compile.
    lines.push(`import { ${names.join(', ')} } from '${address}'`)
    all.push(...names)
  }
  assert.ok(all.includes('kernels') && all.includes('InputError'))
  writeFileSync(join(folder, 'all.ts'), `${lines.join('\n')}\nexport const all = [${all.join(', ')}]\n`)
  check('all.ts', 'nodenext', 'nodenext')
})

test('the browser build names no package', () => {
  const text = readFileSync(join(installed, 'dist/browser.js'), 'utf8')
  assert.not.match(text, /^(import|export)\b[^(;]*\bfrom\s*["']|^import\s*["']/m)
  assert.not.match(text, /\bimport\s*\(/)
  // The other addresses are names of that one file, and no code of their own; some have code that most pages do without.
  for (const address of addresses.slice(1)) {
    const file = readFileSync(join(installed, `dist/${address.replace('vitune/', 'browser-')}.js`), 'utf8')
    if (!['vitune/configurations', 'vitune/report', 'vitune/tensor'].includes(address))
      assert.match(file, /^export \{[\w$, ]+\} from '\.\/browser\.js';\s*$/, address)
    else
      assert.equal(
        new Set([...file.matchAll(/\bfrom\s*['"]([^'"]+)['"]/g)].map(([, from]) => from)),
        new Set(['./browser.js']),
      )
  }
})

/** Type-checks one file of the folder strictly, the declarations of packages included. */
function check(file: string, module: string, moduleResolution: string) {
  const options = [
    '--strict',
    '--noEmit',
    '--skipLibCheck',
    'false',
    '--target',
    'es2022',
    '--ignoreConfig',
    '--types',
    '',
  ]
  const resolution = ['--module', module, '--moduleResolution', moduleResolution]
  node(join(root, 'node_modules/typescript/bin/tsc'), ...options, ...resolution, file)
}

const program = `
import { InputError, train, type TrainEvent } from 'vitune'
import { loraConfig, type LoraConfig, type Method } from 'vitune/adapters'
import { resizeImage, type Size } from 'vitune/data'
import { openSafetensors, type SafetensorsFile } from 'vitune/io'
import type { Vit, VitConfig } from 'vitune/models'
import { Linear, type Module } from 'vitune/nn'
import { type KernelName, kernels, type Parameter, type Tensor } from 'vitune/tensor'
import { fit, type FitOptions } from 'vitune/train'
const name: KernelName = 'matmul'
export const outputs: readonly string[] = kernels[name].out
// @ts-expect-error: not a kernel; fails if the types have become any
export const wrong: KernelName = 'nothing'
export const module: (vit: Vit) => Module = (vit) => vit
export const made: readonly unknown[] = [resizeImage, Linear, fit]
export const weight: (parameter: Parameter) => Tensor = (parameter) => parameter
export const config: LoraConfig = loraConfig({ r: 4 })
export const events: AsyncGenerator<TrainEvent> = train({ data: 'photos', model: 'm', peft: 'lora' satisfies Method })
export const file: (path: string) => Promise<SafetensorsFile> = (path) => openSafetensors(path)
export type All = [Size, VitConfig, FitOptions]
// @ts-expect-error: tensors have an address of their own
export type Elsewhere = import('vitune').Tensor
// @ts-expect-error: an Error is no number
export const alsoWrong: number = new InputError('x').message
`
for (const [module, resolution] of [
  ['nodenext', 'nodenext'],
  ['node16', 'node16'],
  ['esnext', 'bundler'],
] as const) {
  test(`a strict program using its types checks under ${resolution}`, () => {
    writeFileSync(join(folder, 'program.ts'), program)
    check('program.ts', module, resolution)
  })
}

test('npx vitune --version prints the version', () => {
  assert.ok(readdirSync(join(folder, 'node_modules/.bin')).includes('vitune'))
  assert.is(run('npx', ['--no-install', 'vitune', '--version'], folder).trim(), own.version)
})

test.run()
