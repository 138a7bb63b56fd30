// What the bundle for a GPU (benchmarks/bundle-for-gpu.mjs) runs: finds the adapter, runs the kernel and loss suites on WebGPU
// through Dawn, times LoRA steps beside PyTorch on the same card, and writes results.json and results.txt after each part.
// Options: --out FOLDER; --small for tiny shapes; --software to go on where the adapter is no GPU.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Spec } from './contender.ts'
import { closeAll } from './contender.ts'
import { type Bench, interleave, type Lane, lapOf, rowOf, torchLanes } from './measure.ts'
import { ratiosOf, type Section, section } from './result.ts'
import { dinov2Small, smallVit, type VitShape, vitBase } from './shapes.ts'
import { digits, sectionText } from './table.ts'

const home = fileURLToPath(new URL('..', import.meta.url))
const { values: flags } = parseArgs({
  options: {
    out: { type: 'string', default: process.env.OUT ?? 'vitune-gpu' },
    small: { type: 'boolean', default: false },
    software: { type: 'boolean', default: false },
  },
})

/** What a program says, trimmed; empty where it is missing or fails. */
function said(program: string, ...args: string[]): string {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 })
  return status === 0 ? stdout.trim() : ''
}

interface Adapter {
  readonly vendor: string
  readonly architecture: string
  readonly device: string
  readonly description: string
  readonly software: boolean
  readonly f16: boolean
  readonly subgroups: boolean
}

const probe = `
const { create } = await import('webgpu')
const adapter = await create([]).requestAdapter({ powerPreference: 'high-performance' })
const { vendor = '', architecture = '', device = '', description = '' } = adapter?.info ?? {}
const name = [vendor, architecture, device, description].join(' ')
const software = /swiftshader|llvmpipe|lavapipe|software/i.test(name) || adapter?.info?.isFallbackAdapter === true
const found = { vendor, architecture, device, description, software, f16: adapter?.features.has('shader-f16'), subgroups: adapter?.features.has('subgroups') }
process.stdout.write('\\n' + JSON.stringify(adapter ? found : null), () => process.exit())`

/** The adapter under some environment; undefined where none answers. */
function adapterWith(env: Record<string, string>): Adapter | undefined {
  const args = ['--input-type=module', '--eval', probe]
  const { stdout } = spawnSync(process.execPath, args, {
    cwd: home,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 60_000,
  })
  try {
    return (JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null') as Adapter | null) ?? undefined
  } catch {
    return undefined
  }
}

/** NVIDIA's Vulkan driver where its library lies but no file names it, as in containers made for computing. */
function unnamedDriver(): Record<string, string> {
  const places = ['/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib', '/usr/local/nvidia/lib64']
  const names = ['libGLX_nvidia.so.0', 'libEGL_nvidia.so.0']
  const found = names.flatMap((name) => places.map((place) => join(place, name))).find((path) => existsSync(path))
  if (!found) return {}
  const file = join(mkdtempSync(join(tmpdir(), 'vitune-icd-')), 'nvidia_icd.json')
  const icd = { file_format_version: '1.0.0', ICD: { library_path: found, api_version: '1.3.0' } }
  writeFileSync(file, JSON.stringify(icd))
  return { VK_ICD_FILENAMES: file, VK_DRIVER_FILES: file }
}

/** The first way that leads to a GPU: the system's, with the bundle's loader, with a driver that nobody names. */
function findAdapter(): { adapter: Adapter; env: Record<string, string>; way: string } | undefined {
  const libraries = [process.env.LD_LIBRARY_PATH, join(home, 'vulkan')].filter(Boolean).join(':')
  const loader = { LD_LIBRARY_PATH: libraries }
  const ways: [string, Record<string, string>][] = [
    ["the system's Vulkan", {}],
    ["the bundle's Vulkan loader", loader],
    ["the bundle's Vulkan loader and NVIDIA's driver by its path", { ...loader, ...unnamedDriver() }],
  ]
  const found = ways.flatMap(([way, env]) => {
    const adapter = adapterWith(env)
    return adapter ? [{ adapter, env, way }] : []
  })
  return found.find(({ adapter }) => !adapter.software) ?? found[0]
}

/** What helps to see why there is no adapter, or which driver there is. */
function machine(): Record<string, string> {
  const list = (folder: string) => (existsSync(folder) ? readdirSync(folder).join(' ') : '')
  const proc = '/proc/driver/nvidia/version'
  return {
    node: process.versions.node,
    dawn: (JSON.parse(readFileSync(join(home, 'node_modules/webgpu/package.json'), 'utf8')) as { version: string })
      .version,
    card: said('nvidia-smi', '--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'),
    driver: existsSync(proc) ? readFileSync(proc, 'utf8').split('\n')[0]! : '',
    'Vulkan drivers': [list('/usr/share/vulkan/icd.d'), list('/etc/vulkan/icd.d')].filter(Boolean).join(' '),
    system: said('uname', '-sr'),
  }
}

interface Suite {
  readonly passed: number
  readonly failed: number
  readonly seconds: number
  /** The first lines about what failed. */
  readonly said: string
}

/** One suite on WebGPU, with the kernels that a GPU gets. */
function suite(name: string, software: boolean): Suite {
  const begun = performance.now()
  const env = { ...process.env, VITUNE_TEST_WEBGPU: '1', VITUNE_TEST_ONLY: software ? '^webgpu$' : '^webgpu' }
  const file = join(home, `test/${name}.test.js`)
  const { stdout, stderr } = spawnSync(process.execPath, [file], { env, encoding: 'utf8', timeout: 300_000 })
  const count = (label: string) => Number(new RegExp(`^ *${label}: +(\\d+)`, 'm').exec(stdout)?.[1] ?? 0)
  const [total, passed] = [count('Total'), count('Passed')]
  const failed = total === 0 ? 1 : total - passed
  const at = stdout.indexOf('FAIL')
  const text = failed === 0 ? '' : `${at < 0 ? stdout : stdout.slice(at)}\n${stderr}`.trim().slice(0, 4000)
  return { passed, failed, seconds: Math.round((performance.now() - begun) / 1000), said: text }
}

const tiny: VitShape = { ...smallVit, name: 'tiny ViT', hidden: 64, layers: 2, heads: 2 }

/** LoRA steps of one shape beside PyTorch's on the same card. */
async function timed(bench: Bench, shape: VitShape, batch: number, adapter: Adapter): Promise<Section> {
  const to = section(shape.name, `LoRA step of ${shape.name}, ${batch} images of ${shape.image} px, ms a step`)
  const what = 'LoRA step'
  const spec: Spec = {
    work: 'vit',
    shape,
    batch,
    threads: 1,
    method: 'lora',
    device: 'webgpu',
    repeat: flags.small ? 1 : 5,
  }
  const own = (who: string, more: Partial<Spec>): Lane => ({ kind: 'vitune', who, what, spec: { ...spec, ...more } })
  const native = (f16: boolean) =>
    torchLanes(bench, { what, spec: { ...spec, device: 'cuda', f16 } }).map((lane) => ({
      ...lane,
      who: `${lane.who}, ${f16 ? 'autocast to f16' : 'f32'}`,
    }))
  const lanes = [
    own('vitune f32', {}),
    ...(adapter.f16 ? [own('vitune f16', { f16: true })] : []),
    own('vitune int8', { quantize: 'int8' }),
    own('vitune NF4', { quantize: 'nf4' }),
    ...(bench.torches.length > 0 ? [...native(false), ...native(true)] : []),
  ]
  const laps = await interleave(bench, to, lanes, { rounds: flags.small ? 2 : 8, warm: flags.small ? 1 : 2 })
  for (const lap of laps) to.rows.push(rowOf(lap, 'ms', false, (ms) => ms))
  const torch = laps.find(({ kind, who }) => kind === 'pytorch' && who.endsWith('f32'))
  for (const lane of lanes.filter(({ kind }) => kind === 'vitune')) {
    const ours = lapOf(laps, lane.who, what)
    if (!ours || !torch) continue
    const { median, p10, p90 } = ratiosOf(ours.ms, torch.ms)
    to.notes.push(`${lane.who}: ${digits(median)} x ${torch.who} (${digits(p10)} to ${digits(p90)})`)
  }
  return to
}

/** A Python with torch that sees a GPU. */
function findTorch(): Bench['torches'] {
  const ask = 'import torch; assert torch.cuda.is_available(); print(torch.__version__, torch.cuda.get_device_name(0))'
  for (const python of [process.env.VITUNE_PYTHON, 'python3', 'python'].filter((name) => name !== undefined)) {
    const version = said(python, '-c', ask)
    if (version) return [{ who: `PyTorch ${version.split('+')[0]!.split('.').slice(0, 2).join('.')}`, python }]
  }
  return []
}

async function main(): Promise<number> {
  const out = resolve(flags.out)
  mkdirSync(out, { recursive: true })
  const found = findAdapter()
  const { adapter, way } = found ?? {}
  const suites: Record<string, Suite> = {}
  const sections: Section[] = []
  const versions: Record<string, string> = {}
  const created = new Date().toISOString()
  const facts = machine()
  const write = () => {
    const result = { format: 1, created, machine: facts, adapter: adapter ?? null, way, versions, suites, sections }
    const lines = [
      `vitune on WebGPU, ${created}`,
      ...Object.entries({ ...facts, ...adapter, way, ...versions }).map(([name, value]) => `${name}: ${value}`),
      '',
      ...Object.entries(suites).map(
        ([name, { passed, failed, seconds, said }]) =>
          `${name}: ${passed} passed, ${failed} failed, ${seconds} s${said ? `\n${said}` : ''}`,
      ),
      ...sections.map((made) => `\n${sectionText(made)}`),
      '',
    ]
    writeFileSync(join(out, 'results.json'), `${JSON.stringify(result, null, 2)}\n`)
    writeFileSync(join(out, 'results.txt'), lines.join('\n'))
    return lines.join('\n')
  }
  if (!found || !adapter || (adapter.software && !flags.software)) {
    console.log(write())
    console.log(found ? 'The only adapter computes in software; --software goes on with it.' : 'No adapter was found.')
    return 1
  }
  Object.assign(process.env, found.env)
  for (const name of ['kernels', 'losses']) {
    console.log(`${name} ...`)
    suites[name] = suite(name, adapter.software)
    write()
  }
  const bench: Bench = {
    quick: flags.small,
    threads: 1,
    missing: {},
    torches: findTorch(),
    signal: new AbortController().signal,
    versions,
    progress: () => {},
  }
  const shapes: [VitShape, number][] = flags.small
    ? [[tiny, 2]]
    : [
        [dinov2Small, 8],
        [dinov2Small, 64],
        [vitBase, 8],
        [vitBase, 64],
      ]
  for (const [shape, batch] of shapes) {
    console.log(`${shape.name}, batch ${batch} ...`)
    sections.push(await timed(bench, shape, batch, adapter))
    write()
  }
  console.log(write())
  return Object.values(suites).some(({ failed }) => failed > 0) ? 1 : 0
}

try {
  process.exitCode = await main()
} finally {
  closeAll()
}
