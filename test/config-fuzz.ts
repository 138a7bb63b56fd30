// A seeded fuzzer over configurations: files of ours, of OTX and of getitune, bent by their keys, types, anchors and sizes, and
// dotted flags. Whatever a file holds, it ends with settings or with a sentence. Each case is a function of the seed and its number.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse, stringify } from 'yaml'
import { bendBytes, type Random, randomOf } from './fuzzing.ts'

const recipes = fileURLToPath(new URL('fixtures/recipes/', import.meta.url))

/** Texts to begin with: every recipe, what its data say put into it, and settings of ours. */
function goodTexts(): string[] {
  const files = readdirSync(recipes, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'))
  const texts = files.map((name) => readFileSync(join(recipes, name), 'utf8'))
  const base = texts[files.findIndex((name) => name.includes('otx') && name.includes('_base_'))]!
  const recipe = texts[files.findIndex((name) => name.includes('otx') && name.endsWith('dino_v2.yaml'))]!
  const whole = stringify({ ...parse(recipe), data: parse(base) })
  const ours = stringify({
    ...{
      data: 'IMAGES',
      model: 'MODEL',
      peft: 'dora',
      recipe: 'fast',
      epochs: 3,
      lr: 1e-3,
      rank: 4,
      targets: ['query'],
    },
    ...{ lora: { dropout: 0.1, rankPattern: { query: 2 } }, augment: { crop: { area: [0.5, 1] }, flip: 0.5 } },
    ...{
      task: 'multilabel',
      loss: 'bce',
      threshold: 0.5,
      positiveWeights: { a: 2 },
      warmup: '10%',
      valEvery: 'adaptive',
    },
  })
  return [...texts.filter((text) => !text.includes('\nval_subset')), whole, ours]
}
export const good = goodTexts()

const below = (random: Random, n: number) => Math.floor(random() * n)
const among = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!

/** Every key and value of the good texts, to be put where they do not belong. */
const known: { keys: string[]; values: unknown[] } = { keys: [], values: [] }
const collect = (value: unknown): void => {
  known.values.push(value)
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    known.keys.push(key)
    collect(inner)
  }
}
for (const text of good) collect(parse(text))

const extremes: readonly unknown[] = [
  ...[null, true, false, '', 'a', ' ', '0', 0, -0, 1, -1, 0.5, 1e9, 2 ** 31, 2 ** 53, 1e308, -1e308, 5e-324],
  ...[
    Number.NaN,
    Number.POSITIVE_INFINITY,
    [],
    {},
    [[]],
    [null],
    [1, 2],
    [2, 1],
    [Number.NaN, 1],
    ['a', 'a'],
    { a: 1 },
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    '../x',
    '/etc/passwd',
    '$(input_size)',

    '11%',
    '-5%',
    'auto',
    'val/accuracy',
  ],
  ...['torch.optim.AdamW', 'x'.repeat(500), 'é\u0000\n\u202e', { class_path: 'torch.optim.SGD' }, { init_args: null }],
  ...[{ class_path: 7 }, { class_path: 'SGD', init_args: [] }, { __proto__: { lr: 1 } }, { enable: 0 }],
]
const strangeKeys = [
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '',
  ' ',
  'a.b',
  '0',
  'é',
  'x'.repeat(300),
  'lr ',
  'Epochs',
  'init_args',
  'class_path',
]

const anyKey = (random: Random): string => {
  const key = random() < 0.7 ? among(random, known.keys) : among(random, strangeKeys)
  if (random() < 0.8 || key === '') return key
  const at = below(random, key.length)
  return key.slice(0, at) + among(random, ['', 'x', '_', key[at]!.toUpperCase()]) + key.slice(at + 1)
}
const anyValue = (random: Random): unknown => (random() < 0.5 ? among(random, extremes) : among(random, known.values))

/** A copy that is changed at one place: a value, a key, one more, one less, one in a list or a table of itself. */
function bendValue(value: unknown, random: Random): unknown {
  const isTable = typeof value === 'object' && value !== null
  if (!isTable || random() < 0.1)
    return random() < 0.2 ? (random() < 0.5 ? [value] : { [anyKey(random)]: value }) : anyValue(random)
  const entries: [string, unknown][] = Object.entries(value)
  const at = below(random, Math.max(1, entries.length))
  const how = random()
  if (entries.length === 0 || how < 0.15) entries.splice(at, 0, [anyKey(random), anyValue(random)])
  else if (how < 0.25) entries.splice(at, 1)
  else if (how < 0.4) entries[at] = [anyKey(random), entries[at]![1]]
  else entries[at] = [entries[at]![0], bendValue(entries[at]![1], random)]
  if (Array.isArray(value)) return entries.map(([, one]) => one)
  return Object.fromEntries(entries)
}

/** What YAML has beside values: anchors, aliases, tags, merges, other documents, depth and size. */
const words: readonly ((random: Random) => string)[] = [
  () => '&a ',
  () => '*a',
  () => '<<: *a\n',
  () => '!!python/object/apply:os.system ',
  () => '!!binary ',
  () => '!!set ',
  () => '---\n',
  () => '%YAML 1.1\n',
  (random) => '['.repeat(below(random, 2000)),
  (random) => '- '.repeat(below(random, 2000)),
  (random) => '{a: '.repeat(below(random, 200)),
  (random) => `${'x'.repeat(below(random, 5000))}: 1\n`,
  (random) => `# ${'x'.repeat(below(random, 120_000))}\n`,
  () => '? [a]\n: 1\n',
  () => '"\\x00\\ud800"',
  () => '|\n  text\n',
  () => '\t',
  () => 'epochs: 3\nepochs: 4\n',
]

function bendText(text: string, random: Random): string {
  const at = below(random, text.length + 1)
  return (
    text.slice(0, at) + among(random, words)(random) + text.slice(random() < 0.8 ? at : Math.min(text.length, at + 20))
  )
}

/** The text of a case, and flags to go with it. */
export function caseOf(seed: number, number: number): { text: string; flags: string[] } {
  const random = randomOf(seed * 1_000_003 + number)
  let text = among(random, good)
  const how = random()
  if (how < 0.6) {
    let value: unknown = parse(text)
    for (let n = random() < 0.7 ? 1 : below(random, 4); n > 0; n--) value = bendValue(value, random)
    text = stringify(value) ?? ''
  } else if (how < 0.85) for (let n = 1 + below(random, 3); n > 0; n--) text = bendText(text, random)
  else text = new TextDecoder().decode(bendBytes(new TextEncoder().encode(text), random))
  const flags: string[] = []
  for (let n = random() < 0.3 ? 1 + below(random, 3) : 0; n > 0; n--) {
    const keys = Array.from({ length: 1 + below(random, 4) }, () => anyKey(random).replace(/\W/g, '') || 'a')
    const given = anyValue(random)
    const name = among(random, ['model', 'data', 'lora', 'augment', keys[0]!])
    flags.push(
      `--${[name, ...keys].join('.')}`,
      typeof given === 'string' ? given.replaceAll('\0', '') : String(JSON.stringify(given)),
    )
  }
  return { text, flags }
}
