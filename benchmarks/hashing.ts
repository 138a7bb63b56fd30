// What a run's list of images costs: the time of hashing all of them, as a part of the first epoch that reads them.
// The smallest model is the worst case. Run by hand after npm run build:
// node --import tsx benchmarks/hashing.ts [IMAGES]
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { train } from 'vitune'
import { Rng } from 'vitune/tensor'

const count = Number(process.argv[2] ?? 200)
const model = fileURLToPath(new URL('vit-cifar100', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'vitune-hashing-'))
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!

/** `count` pictures of soft noise, about as large in bytes as photographs, in two classes. */
async function makeImages(data: string, side: number, ending: 'jpg' | 'png'): Promise<void> {
  const rng = new Rng(1)
  for (let i = 0; i < count; i++) {
    const into = join(data, i % 2 ? 'odd' : 'even')
    mkdirSync(into, { recursive: true })
    const small = Uint8Array.from({ length: 160 * 120 * 3 }, () => rng.below(256))
    await sharp(small, { raw: { width: 160, height: 120, channels: 3 } })
      .resize(side, (side * 3) / 4)
      .toFile(join(into, `${i}.${ending}`))
  }
}

try {
  for (const [side, ending] of [
    [640, 'jpg'],
    [1600, 'jpg'],
    [640, 'png'],
  ] as const) {
    const data = join(folder, `${side}-${ending}`)
    await makeImages(data, side, ending)
    const files = readdirSync(data, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(ending))
    const bytes = files.map((name) => readFileSync(join(data, name)))
    const hashing = median(
      Array.from({ length: 5 }, () => {
        const start = performance.now()
        for (const file of bytes) createHash('sha256').update(file).digest('hex')
        return (performance.now() - start) / 1000
      }),
    )
    const epochs: number[] = []
    for (let round = 0; round < 3; round++) {
      const run = {
        data,
        model,
        out: join(folder, `run-${side}-${ending}-${round}`),
        epochs: 1,
        device: 'wasm' as const,
      }
      for await (const event of train(run)) if (event.kind === 'epoch') epochs.push(event.seconds)
    }
    const epoch = median(epochs)
    const size = bytes.reduce((sum, file) => sum + file.length, 0) / 1e6
    console.log(
      `${count} ${ending} of ${side} px, ${size.toFixed(1)} MB: hashing ${(1000 * hashing).toFixed(1)} ms, ` +
        `first epoch ${epoch.toFixed(2)} s, ${((100 * hashing) / epoch).toFixed(2)} %`,
    )
  }
} finally {
  rmSync(folder, { recursive: true })
}
