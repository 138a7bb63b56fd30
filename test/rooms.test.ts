// Who may import whom, and which names each room keeps to itself, read from the text of src/.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const src = new URL('../src/', import.meta.url)

/** The rooms from left to right; a room imports from itself and from the left. `index` is src/index.ts. */
const order =
  'platform backend tensor labels ops optim nn io schema data models adapters tasks settings train use report run web'
/** Packages that each room may import, and rooms to its left that it may not. */
const rooms: Record<string, { packages?: string; without?: string }> = {
  platform: { packages: 'sharp @huggingface/hub webgpu' },
  backend: {},
  tensor: {},
  labels: { without: 'backend tensor' },
  ops: { without: 'labels' },
  optim: { without: 'labels' },
  nn: { without: 'labels optim' },
  io: { without: 'labels ops optim nn' },
  schema: { packages: 'valibot', without: 'backend tensor labels ops optim nn' },
  data: { packages: 'papaparse', without: 'ops optim nn schema' },
  models: { without: 'optim' },
  adapters: { without: 'optim data' },
  tasks: { without: 'optim nn io schema data models adapters' },
  settings: { without: 'tensor ops optim nn' },
  train: { without: 'labels io data adapters' },
  use: {},
  report: { packages: 'vega' },
  run: {},
  web: {},
  public: {},
  index: {},
  cli: { packages: 'commander yaml' },
  demo: { packages: 'uplot fflate', without: 'public index cli' },
}
const sequence = [...order.split(' '), 'public', 'index', 'cli', 'demo']
const allowed: Record<string, string[]> = Object.fromEntries(
  sequence.map((room, place) => {
    const { packages = '', without = '' } = rooms[room]!
    const left = sequence.slice(0, place).filter((other) => !without.split(' ').includes(other))
    return [room, [...left, ...packages.split(' ')]]
  }),
)
/** Single files that are pure, and who may import them although their room lies to the right. */
const exceptions = ['backend -> tensor/philox.ts']

/** Names that only some folders may use, in code (not in comments or quoted text). */
const owned: [RegExp, string[]][] = [
  [
    /(?<![\w.$'-])(process|navigator)\b(?!\s*(:|\(|\?(?!\.)))|(globalThis|self|window)\??\.(process|navigator)/,
    ['platform/', 'demo/'],
  ],
  [
    /(?<![\w.$])(new Worker\s*\(|fetch\b(?!\s*[:?]))|(globalThis|self|window)\??\.(fetch|Worker)/,
    ['platform/', 'demo/'],
  ],
  [/['"]node:|(?<![\w.$])require\s*\(/, ['platform/']],
  [/\bWebAssembly\b/, ['backend/wasm/']],
  [/\bGPU[A-Z]\w*/, ['backend/webgpu/']],
]

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => name.endsWith('.ts'))
const roomOf = (file: string) => file.replace(/\.ts$/, '').split('/')[0]!
/** Code without comments; with `bare`, also without what stands between quotes. */
function codeOf(file: string, bare: boolean) {
  const text = readFileSync(new URL(file, src), 'utf8')
  const tokens = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g
  const inTemplate = (token: string) => (token.match(/\$\{[^}]*\}/g) ?? []).join(' ')
  return text.replace(tokens, (token) => {
    if (token.startsWith('/')) return ''
    return !bare ? token : token[0] === '`' ? inTemplate(token) : "''"
  })
}

/** What a file imports, as it is written; without `types`, only what is there when it runs. */
function importsOf(file: string, types: boolean): string[] {
  const code = codeOf(file, false)
  const text = types ? code : code.replace(/\b(import|export) type\b[^'"]*['"][^'"]+['"]/g, '')
  return [...text.matchAll(/(?:(?<!['.])\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g)].map((m) => m[1]!)
}
/** The file of src/ or the package that an import means. */
const targetOf = (file: string, specifier: string) =>
  specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier.replace('#', '')

test('a file imports from its own room and from rooms to its left only', () => {
  const wrong: string[] = []
  for (const file of files) {
    const room = roomOf(file)
    for (const specifier of importsOf(file, true)) {
      if (/^(node|wasm|web|worker):/.test(specifier)) continue
      const target = targetOf(file, specifier)
      const to = specifier.startsWith('.') ? roomOf(target) : target
      if (to === room || allowed[room]?.includes(to) || exceptions.includes(`${room} -> ${target}`)) continue
      wrong.push(`${file} imports ${specifier}`)
    }
  }
  assert.ok(files.length > 20)
  assert.equal(wrong, [])
})

/** Circles of files, each once; without `types`, of what is there when they run. */
function circlesOf(types: boolean): string[] {
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(' -> '))
    if (done.has(file) || way.includes(file)) return
    for (const target of importsOf(file, types).map((specifier) => targetOf(file, specifier))) {
      if (files.includes(target)) visit(target, [...way, file])
    }
    done.add(file)
  }
  for (const file of files) visit(file, [])
  return circles
}

/** Pairs that name each other's types, and know why. */
const byTypes = [
  'tensor/tensor.ts -> tensor/scope.ts -> tensor/tensor.ts',
  'models/vit/config.ts -> models/vit/families.ts -> models/vit/config.ts',
  'demo/pictures.ts -> demo/recorder.ts -> demo/pictures.ts',
]

test('no file imports itself, over whichever others; by types alone only the pairs that are named', () => {
  assert.equal(circlesOf(false), [])
  assert.equal(circlesOf(true), byTypes)
})

test('names of the runtime, of WebAssembly and of WebGPU stay in their rooms', () => {
  const wrong: string[] = []
  for (const file of files) {
    for (const [name, rooms] of owned) {
      const found = codeOf(file, !name.source.includes('node:')).match(name)
      if (found && !rooms.some((room) => file.startsWith(room))) wrong.push(`${file}: ${found[0]}`)
    }
  }
  assert.equal(wrong, [])
})

test.run()
