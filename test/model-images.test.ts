// How a model wants its images, where its files say it, where they are silent, and where they ask for what cannot be.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type OpenModelOptions, openModel, predict, type RgbImage } from 'vitune'
import { trainTransform } from 'vitune/data'
import { saveVit } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import { type Backend, Rng } from 'vitune/tensor'
import { preprocessorJson } from '../src/use/model-images.ts'
import { check, fixtures, json, rewrite } from './small-vit.ts'

type Json = Record<string, unknown>

/** A stored model with this preprocessor_config.json (none where undefined). */
async function folderOf(
  folder: string,
  name: string,
  preprocessor: Json | undefined,
  config: Json = {},
): Promise<string> {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'preprocessor_config.json')
  rmSync(file, { force: true })
  if (preprocessor) writeFileSync(file, JSON.stringify(preprocessor))
  return rewrite(name, folder, { config })
}

async function opened(backend: Backend, folder: string, options: OpenModelOptions = {}) {
  const model = await openModel(backend, folder, options)
  disposeModule(model.model)
  return { ...model, said: model.notes.join('\n'), size: model.model.config.imageSize }
}

const refusal = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'accepted',
    (error) => error.message,
  )

function image(width: number, height: number): RgbImage {
  const rng = new Rng(1)
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, () => rng.below(256)) }
}

check(
  'images that nothing brings to one size must have it: do_resize and do_center_crop off',
  async ({ folder, backend }) => {
    const plain = { image_mean: [0.1, 0.2, 0.3], image_std: [0.4, 0.5, 0.6] }
    for (const type of ['ViTImageProcessor', 'BitImageProcessor']) {
      const off = { ...plain, image_processor_type: type, do_resize: false, do_center_crop: false }
      await folderOf(folder, 'checkpoints/vit', off)
      const free = await openModel(backend, folder)
      assert.equal(free.model.config.imageSize, [16, 16])
      const [asItIs] = await predict(free, [image(16, 16)])
      disposeModule(free.model)
      const exact = { ...off, do_resize: true, size: { height: 16, width: 16 } }
      const sized = await openModel(backend, await folderOf(folder, 'checkpoints/vit', exact))
      assert.equal((await predict(sized, [image(16, 16)]))[0]!.logits, asItIs!.logits)
      disposeModule(sized.model)
    }
    await folderOf(folder, 'checkpoints/vit', { do_resize: false, do_center_crop: false })
    const model = await openModel(backend, folder)
    const said = await refusal(predict(model, [image(16, 16), { ...image(16, 12), name: 'low.png' }]))
    assert.match(said, /^image 1: must be 16 x 16 px, since .* got 16 x 12; set do_resize or do_center_crop$/)
    assert.throws(
      () => trainTransform(model.preprocess).apply(image(8, 8), new Rng(1), new Float32Array(768)),
      /got 8 x 8/,
    )
    disposeModule(model.model)
    // Of the shortest edge alone, square images come out at one size.
    const shortest = await folderOf(folder, 'checkpoints/dinov2', {
      size: { shortest_edge: 20 },
      do_center_crop: false,
    })
    const dino = await openModel(backend, shortest)
    assert.is((await predict(dino, [image(30, 30)])).length, 1)
    assert.match(await refusal(predict(dino, [image(30, 40)])), /must be 20 x 20 px, .* got 20 x 26/)
    disposeModule(dino.model)
  },
)

check(
  'an input size of the user holds where nothing is resized, and is saved with the model',
  async ({ folder, backend }) => {
    const own = { do_resize: false, do_center_crop: false }
    const model = await openModel(backend, await folderOf(folder, 'checkpoints/vit', own), { inputSize: 24 })
    assert.equal(model.model.config.imageSize, [24, 24])
    assert.equal(model.preprocess.exact, { height: 24, width: 24 })
    assert.is((await predict(model, [image(24, 24)])).length, 1)
    const out = join(folder, 'saved')
    await saveVit(model.model, out, 'huggingface', { preprocessor: preprocessorJson(model) })
    disposeModule(model.model)
    const again = await openModel(backend, out)
    assert.equal(again.preprocess, model.preprocess)
    assert.is((await predict(again, [image(24, 24)])).length, 1)
    disposeModule(again.model)
  },
)

check(
  "a preprocessor's images have at most four times the model's own side, and another size is said",
  async ({ folder, backend }) => {
    const sized = (side: number) => ({ size: { height: side, width: side } })
    for (const [name, preprocessor] of [
      ['checkpoints/vit', sized(4096)],
      ['checkpoints/vit', sized(65)],
      ['checkpoints/dinov2', { crop_size: 4096, size: { shortest_edge: 4096 } }],
    ] as const) {
      await folderOf(folder, name, preprocessor)
      backend.resetPeak()
      assert.match(
        await refusal(openModel(backend, folder)),
        /may make images of 4 times the model's \d+ x \d+ px, got (4096|65) x /,
      )
      assert.is(backend.memory().peak, 0)
    }
    const { model_args: args, pretrained_cfg: cfg } = json('timm/vit/config.json')
    for (const config of [
      { model_args: { ...args, img_size: 4096 } },
      { model_args: { ...args, img_size: undefined }, pretrained_cfg: { ...cfg, input_size: [3, 4096, 4096] } },
    ]) {
      await folderOf(folder, 'timm/vit', undefined, config)
      assert.match(
        await refusal(openModel(backend, folder)),
        /may make images of 4 times the model's 16 x 16 px, got 4096/,
      )
    }
    const large = await opened(backend, await folderOf(folder, 'checkpoints/vit', sized(64)))
    assert.equal(large.size, [64, 64])
    assert.is(large.said, "images are made 64 x 64 px, the model's own are 16 x 16 px: positions are interpolated")
    assert.is((await opened(backend, await folderOf(folder, 'checkpoints/vit', sized(16)))).said, '')
    // A size that was asked for is no surprise.
    assert.is((await opened(backend, folder, { inputSize: 80 })).said, '')
  },
)

check('what stands in for a preprocessor file is said', async ({ folder, backend }) => {
  const vit = await opened(backend, await folderOf(folder, 'checkpoints/vit', undefined))
  assert.is(
    vit.said,
    'no preprocessor_config.json: images as for published vit models: 16 x 16 px, bilinear, mean 0.5, 0.5, 0.5, std 0.5, 0.5, 0.5',
  )
  const dino = await opened(backend, await folderOf(folder, 'checkpoints/dinov2', undefined))
  assert.match(
    dino.said,
    /^not read: .*\nno preprocessor_config\.json: images as for published dinov2 models: 20 x 20 px, bicubic, /,
  )
  const wide = await opened(backend, await folderOf(folder, 'checkpoints/vit', undefined, { image_size: [8, 32] }))
  assert.match(wide.said, /published vit models: 32 x 8 px/)
  const other = await opened(
    backend,
    await folderOf(folder, 'checkpoints/vit', { image_processor_type: 'OwnProcessor', size: 16 }),
  )
  assert.is(other.said, "preprocessor_config.json: OwnProcessor is not known; what it leaves out is taken of vit's")
})

check("timm's images are those of its configuration, of its architecture, or refused", async ({ folder, backend }) => {
  const { pretrained_cfg: own } = json('timm/vit/config.json')
  const without = (...names: string[]) => ({
    pretrained_cfg: Object.fromEntries(Object.entries(own).filter(([name]) => !names.includes(name))),
  })
  const stored = await opened(backend, `${fixtures}timm/vit`)
  assert.is(stored.said, '')
  // vit_tiny_patch16_224 is normalised by 0.5, other than ImageNet's usual values.
  for (const config of [
    without('mean', 'std'),
    without('mean', 'std', 'crop_pct', 'interpolation'),
    { pretrained_cfg: undefined },
  ]) {
    const found = await opened(backend, await folderOf(folder, 'timm/vit', undefined, config))
    assert.equal(found.preprocess, stored.preprocess)
    assert.match(
      found.said,
      /^pretrained_cfg has no mean, std.*: images by timm's for vit_tiny_patch16_224: 16 x 16 px, bicubic, mean 0\.5, /,
    )
  }
  const deit = await folderOf(folder, 'timm/vit', undefined, {
    architecture: 'deit_tiny_patch16_224',
    ...without('mean', 'std'),
  })
  assert.equal((await opened(backend, deit)).preprocess.mean, [0.485, 0.456, 0.406])
  const unknown = { architecture: 'my_vit', ...without('std') }
  assert.match(
    await refusal(openModel(backend, await folderOf(folder, 'timm/vit', undefined, unknown))),
    /config\.json does not say how images are normalised, and its architecture is not known; add "pretrained_cfg"/,
  )
  const cropped = { architecture: 'my_vit', ...without('crop_pct') }
  assert.match(
    (await opened(backend, await folderOf(folder, 'timm/vit', undefined, cropped))).said,
    /no crop_pct: images by timm's defaults/,
  )
  const border = { pretrained_cfg: { ...own, crop_mode: 'border' } }
  assert.match(
    await refusal(openModel(backend, await folderOf(folder, 'timm/vit', undefined, border))),
    /crop_mode must be center or squash/,
  )
  // The fields beside `architecture`, as timm wrote them once.
  const { pretrained_cfg: _, model_args, ...rest } = json('timm/vit/config.json')
  const old = { pretrained_cfg: undefined, ...rest, model_args, ...own, mean: [0.1, 0.2, 0.3] }
  assert.equal(
    (await opened(backend, await folderOf(folder, 'timm/vit', undefined, old))).preprocess.mean,
    [0.1, 0.2, 0.3],
  )
})

check('models of images that are not RGB are refused', async ({ folder, backend }) => {
  const out = await folderOf(folder, 'checkpoints/vit', undefined, { num_channels: 1 })
  await rewrite('checkpoints/vit', out, {
    config: { num_channels: 1 },
    tensors: (all) =>
      all.map((t) =>
        t.shape.length === 4 ? { ...t, shape: [t.shape[0]!, 1, 4, 4], data: t.data.slice(0, t.data.length / 3) } : t,
      ),
  })
  assert.match(await refusal(openModel(backend, out)), /must take images of 3 channels, got 1$/)
})

test.run()
