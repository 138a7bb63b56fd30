// vitune preview: a picture of what training images become, with the pixels that the epochs of a run see.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeFile, openData } from 'vitune'
import { augmentationPresets, augmentedPixels, sampleRng, withInputSize } from 'vitune/data'
import { parsePreprocessor } from 'vitune/models'
import { images, model, output, refusal, temporary } from './cli-tools.ts'

const { folder, clean } = temporary()
test.after(clean)
const data = await images(join(folder, 'images'), 3)

test('the sheet has a row an image: as in evaluation, then as each epoch of a run with the seed sees it', async () => {
  const out = join(folder, 'sheet.png')
  const args = [
    '--data',
    data,
    '--augment',
    'getitune',
    '--input-size',
    '20',
    '--seed',
    '4',
    '--images',
    '2',
    '--epochs',
    '3',
  ]
  const said = JSON.parse(await output('preview', ...args, '--out', out, '--json'))
  assert.equal([said.width, said.height, said.broken, said.files.length], [4 * 24 + 4, 2 * 24 + 4, [], 2])
  assert.equal(said.augmentations, augmentationPresets.getitune)
  const sheet = await decodeFile(out)
  assert.equal([sheet.width, sheet.height], [said.width, said.height])
  const { train } = await openData(data, { seed: 4 })
  const preprocess = withInputSize(parsePreprocessor(undefined, 'vit'), 20)
  for (const [row, file] of said.files.entries()) {
    const index = Array.from({ length: train.length }, (_, i) => train.file(i)).indexOf(file)
    const image = await train.image(index)
    for (let epoch = -1; epoch < 3; epoch++) {
      const changes = epoch < 0 ? {} : augmentationPresets.getitune
      const wanted = augmentedPixels(image, preprocess, changes, sampleRng(4, epoch, index))
      for (let y = 0; y < 20; y++) {
        const from = ((4 + row * 24 + y) * sheet.width + 4 + (epoch + 1) * 24) * 3
        assert.equal(sheet.data.slice(from, from + 60), wanted.data.slice(y * 60, y * 60 + 60), `${file} ${epoch} ${y}`)
      }
    }
  }
})

test('a model says how large its images are, the recipe what is done to them', async () => {
  const out = join(folder, 'model.png')
  const said = await output('preview', '--data', data, '--model', model, '--out', out, '--images', '1', '--epochs', '1')
  assert.match(said, /^changes +random crops .* mirror images$/m)
  assert.match(said, /a row an image, first as it is, then as each epoch sees it$/m)
  const { width, height } = await sharp(out).metadata()
  assert.equal([width, height], [2 * 20 + 4, 20 + 4], 'its images have 16 x 16 px')
})

test('what is wrong is said before anything is written', async () => {
  const out = join(folder, 'none.png')
  const preview = (...args: string[]) => refusal('preview', '--data', data, '--out', out, ...args)
  assert.match(await preview('--augment', 'flpi'), /--augment: flpi cannot stand here; did you mean flip\?/)
  assert.match(await preview('--images', '0'), /--images: must be a whole number of images from 1 to 30, got 0/)
  assert.match(await refusal('preview', '--data', data, '--out', join(folder, 'a.jpg')), /--out: .* ends in \.png/)
  assert.is(existsSync(out), false)
})

test.run()
