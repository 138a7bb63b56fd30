// Large pictures in image workers: what is decoded at once stays within the stated budget, however many there are.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const script = `
  import { fileDataset } from 'vitune'
  import { evalTransform, loadBatches } from 'vitune/data'
  import { parsePreprocessor } from 'vitune/models'
  const files = process.argv.slice(1)
  const dataset = fileDataset({ files, labels: files.map(() => 0), classes: ['a'] })
  const transform = evalTransform(parsePreprocessor(undefined, 'vit'))
  let images = 0
  for await (const batch of loadBatches(dataset, files.map((_, i) => i), { transform, batchSize: 8 })) images += batch.count
  console.log(images, process.resourceUsage().maxRSS * 1024)`

test('eight pictures of 81 million pixels in one batch take the memory of two', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vitune-large-'))
  try {
    const files = Array.from({ length: 8 }, (_, i) => join(folder, `${i}.png`))
    for (const [i, file] of files.entries()) {
      const create = { width: 9000, height: 9000, channels: 3, background: { r: 20 * i, g: 3, b: 4 } } as const
      await sharp({ create }).png().toFile(file)
    }
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', script, ...files], { encoding: 'utf8' })
    const [images, bytes] = said.split(' ').map(Number)
    assert.is(images, 8)
    // Two are 486 MB of pixels; four, which a worker would decode at once, are 972.
    assert.ok(bytes! < 1000e6, said)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.run()
