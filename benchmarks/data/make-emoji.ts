// Made emoji.json and the emoji-*.png sheets beside it, once, from four npm packages unpacked into folders. Nothing runs
// it at start or test:
//   npm pack emojibase-data@17.0.0 @iconify-json/noto@1.2.9 @iconify-json/fluent-emoji-flat@1.2.6 @iconify-json/twemoji@1.2.5
//   (unpack each, then)
//   npx tsx benchmarks/data/make-emoji.ts EMOJIBASE_FOLDER NOTO_FOLDER FLUENT_FOLDER TWEMOJI_FOLDER
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'

const SIZE = 32
const COLUMNS = 25

/** Places in the tree by Unicode's sub-group: group and kind. Of some there are many, so as many as of others are taken. */
const places: Record<string, [string, string]> = {
  face: ['smileys', 'face'],
  heart: ['smileys', 'heart'],
  'animal-mammal': ['nature', 'mammal'],
  'animal-bird': ['nature', 'bird'],
  'animal-marine': ['nature', 'marine'],
  'animal-bug': ['nature', 'bug'],
  'plant-flower': ['nature', 'flower'],
  'plant-other': ['nature', 'plant'],
  'food-fruit': ['food', 'fruit'],
  'food-vegetable': ['food', 'vegetable'],
  'food-sweet': ['food', 'sweet'],
  drink: ['food', 'drink'],
  'place-building': ['travel', 'building'],
  'transport-ground': ['travel', 'transport'],
  'sky-weather': ['travel', 'sky'],
  time: ['travel', 'time'],
}
const perKind = 20

/** Tags: what the sub-group's name says, or a word of the emoji's name and keywords. */
const tags: Record<string, { kind?: RegExp; word?: RegExp }> = {
  face: { kind: /face$/, word: /^face$/ },
  smile: { word: /^(smile|smiling|grin|grinning)$/ },
  tears: { word: /^tears?$/ },
  heart: { word: /^hearts?$/ },
  hand: { kind: /^hand/, word: /^hands?$/ },
  animal: { kind: /^animal-|^(cat|monkey)-face/ },
  cat: { word: /^cat$/ },
  bird: { kind: /-bird$/ },
  plant: { kind: /^plant-/ },
  flower: { kind: /-flower$/, word: /^flower$/ },
  food: { kind: /^food-/ },
  fruit: { kind: /-fruit$/ },
  sweet: { kind: /-sweet$/ },
}
/** Sub-groups whose emoji are tagged, and how many of each: all with two tags and more, and some of the others. */
const tagged: Record<string, number> = {
  face: 80,
  heart: 20,
  hand: 26,
  'cat-face': 9,
  'monkey-face': 3,
  'animal-mammal': 36,
  'animal-bird': 20,
  'plant-flower': 12,
  'plant-other': 12,
  'food-fruit': 20,
  'food-sweet': 14,
  'food-prepared': 14,
}

interface Emoji {
  hexcode: string
  label: string
  tags?: string[]
  subgroup?: number
}
interface Icon {
  body: string
  left?: number
  top?: number
  width?: number
  height?: number
}
interface IconSet extends Icon {
  icons: Record<string, Icon>
  aliases?: Record<string, { parent: string; hFlip?: boolean; vFlip?: boolean; rotate?: number }>
}

const read = async <T>(...path: string[]) => JSON.parse(await readFile(join(...path), 'utf8')) as T

/** Drawings by code points, as SVG text; what is another one's mirror image is left out. */
async function drawings(folder: string): Promise<Map<string, string>> {
  const set = await read<IconSet>(folder, 'icons.json')
  const found = new Map<string, string>()
  for (const [code, name] of Object.entries(await read<Record<string, string>>(folder, 'chars.json'))) {
    const alias = set.aliases?.[name]
    if (alias && (alias.hFlip || alias.vFlip || alias.rotate)) continue
    const icon = set.icons[alias?.parent ?? name]
    if (!icon) continue
    const { left = 0, top = 0, width = set.width ?? 16, height = set.height ?? 16, body } = icon
    found.set(
      code,
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${left} ${top} ${width} ${height}" width="128" height="128">${body}</svg>`,
    )
  }
  return found
}

/** `wanted` of a list, evenly spread. */
function spread<T>(all: readonly T[], wanted: number): T[] {
  const count = Math.min(wanted, all.length)
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!)
}

const [emojibase, ...folders] = process.argv.slice(2)
if (!emojibase || folders.length !== 3) {
  throw new Error('usage: make-emoji.ts EMOJIBASE_FOLDER NOTO_FOLDER FLUENT_FOLDER TWEMOJI_FOLDER')
}
const sets = await Promise.all(folders.map(drawings))
const { subgroups } = await read<{ subgroups: Record<string, string> }>(emojibase, 'meta/groups.json')
const codeOf = ({ hexcode }: Emoji) => hexcode.toLowerCase().replaceAll('-fe0f', '')
const all = (await read<Emoji[]>(emojibase, 'en/data.json'))
  .filter((emoji) => emoji.subgroup !== undefined && emoji.label !== 'middle finger')
  .filter((emoji) => sets.every((set) => set.has(codeOf(emoji))))
  .map((emoji) => {
    const given = subgroups[String(emoji.subgroup)]!
    // Unicode tells twelve kinds of faces and six of hands apart.
    const kind = given.startsWith('face-') ? 'face' : given.startsWith('hand') ? 'hand' : given
    const words = [...(emoji.tags ?? []), emoji.label.toLowerCase()].flatMap((text) => text.split(/[\s:-]+/))
    const labels = Object.keys(tags).filter((tag) => {
      const by = tags[tag]!
      return by.kind?.test(kind) || words.some((word) => by.word?.test(word))
    })
    return { emoji, kind, labels }
  })
const of = (kind: string) => all.filter((entry) => entry.kind === kind)
const inTree = new Set(Object.keys(places).flatMap((kind) => spread(of(kind), perKind)))
const withTags = new Set(
  Object.entries(tagged).flatMap(([kind, count]) => {
    const several = of(kind).filter(({ labels }) => labels.length > 1)
    const others = of(kind).filter(({ labels }) => labels.length < 2)
    return [...several, ...spread(others, Math.max(0, count - several.length))]
  }),
)
const chosen = all.filter((entry) => inTree.has(entry) || withTags.has(entry))

const lines = chosen.map((entry) =>
  JSON.stringify({
    name: entry.emoji.label,
    ...(inTree.has(entry) && { path: places[entry.kind] }),
    ...(withTags.has(entry) && { tags: entry.labels }),
  }),
)
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
await writeFile(here('./emoji.json'), `[\n${lines.join(',\n')}\n]\n`)

for (const [i, name] of ['noto', 'fluent', 'twemoji'].entries()) {
  const tiles = await Promise.all(
    chosen.map(async ({ emoji }, at) => ({
      input: await sharp(Buffer.from(sets[i]!.get(codeOf(emoji))!))
        .resize(SIZE, SIZE, { fit: 'contain', background: '#0000' })
        .png()
        .toBuffer(),
      left: (at % COLUMNS) * SIZE,
      top: Math.floor(at / COLUMNS) * SIZE,
    })),
  )
  const height = Math.ceil(chosen.length / COLUMNS) * SIZE
  await sharp({ create: { width: COLUMNS * SIZE, height, channels: 3, background: '#fff' } })
    .composite(tiles)
    .removeAlpha()
    .png({ compressionLevel: 9, effort: 10 })
    .toFile(here(`./emoji-${name}.png`))
}
