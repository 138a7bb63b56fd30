// Vision transformers from and to model folders: what loads, what comes back bit for bit, what is refused.
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError } from 'vitune'
import { openCheckpoint, openSafetensors, type TensorToWrite } from 'vitune/io'
import {
  configJson,
  fitHead,
  interpolatePositions,
  loadVit,
  parseVitConfig,
  saveVit,
  type Vit,
  type VitConfig,
} from 'vitune/models'
import { Context, disposeModule, truncatedNormal } from 'vitune/nn'
import { type Backend, createReference, createWasm, Rng, scope, slice, tensor } from 'vitune/tensor'
import { near, take } from './grad-check.ts'
import {
  check,
  checkpoints,
  fixtures,
  json,
  load,
  logitsFor,
  pixels,
  refusal,
  rewrite,
  smallVit,
  weightsOf,
} from './small-vit.ts'

type Config = Record<string, unknown>

/** As many images as `count` for the model's own size. */
const imagesFor = ({ config }: Vit, count = 2) => {
  const [h, w] = config.imageSize
  return pixels(count * h * w, 3, 1)
}

check('position embeddings are interpolated as PyTorch does', async () => {
  const file = await openSafetensors(`${fixtures}interpolation/values.safetensors`)
  const [, channels, gh, gw] = file.info('grid').shape as [number, number, number, number]
  // Stored channels first, embeddings are channels last.
  const turn = (data: Float32Array, h: number, w: number) =>
    Float32Array.from(data, (_, i) => data[(i % channels) * h * w + Math.floor(i / channels)]!)
  const grid = turn(await file.read('grid'), gh, gw)
  for (const name of file.names().filter((n) => /^(bicubic|bicubic-antialias|bilinear)\./.test(n))) {
    const [mode, size] = name.split('.') as ['bicubic', string]
    const [h, w] = size.split('x').map(Number) as [number, number]
    const got = interpolatePositions(grid, channels, [gh, gw], [h, w], mode)
    near(got, turn(await file.read(name), h, w), 2e-6, name)
  }
  for (const mode of ['bicubic', 'bicubic-antialias', 'bilinear'] as const) {
    assert.equal(interpolatePositions(grid, channels, [gh, gw], [gh, gw], mode), grid)
  }
})

check('every stored checkpoint saves and loads again bit for bit', async ({ folder, backend }) => {
  for (const name of checkpoints) {
    const checkpoint = await openCheckpoint(fixtures + name)
    const { model, dialect } = await loadVit(backend, checkpoint)
    const out = join(folder, name)
    await saveVit(model, out, dialect, { config: { ...checkpoint.config } })
    const again = await openCheckpoint(out)
    const unused = /mask_token$/
    assert.equal(
      again.names().sort(),
      checkpoint
        .names()
        .filter((n) => !unused.test(n))
        .sort(),
      name,
    )
    for (const key of again.names()) {
      assert.equal(again.info(key).shape, checkpoint.info(key).shape, `${name} ${key}`)
      assert.equal(await again.read(key), await checkpoint.read(key), `${name} ${key}`)
    }
    const loaded = await loadVit(backend, again)
    assert.is(loaded.dialect, dialect)
    assert.equal(loaded.unused, [])
    assert.equal(loaded.model.config, model.config, name)
    const images = imagesFor(model)
    assert.equal(await logitsFor(loaded.model, images), await logitsFor(model, images), name)
    assert.equal(model.config.classes, ['apple', 'bread', 'cherry', 'date', 'egg'], name)
    disposeModule(model)
    disposeModule(loaded.model)
  }
})

check('a model for other images and classes saves and loads again bit for bit', async ({ folder, backend }) => {
  for (const name of checkpoints) {
    const checkpoint = await openCheckpoint(fixtures + name)
    const { patchSize } = (await loadOnce(backend, name)).config
    const { model, dialect } = await loadVit(backend, checkpoint, { inputSize: [3 * patchSize, 2 * patchSize + 1] })
    fitHead(model, ['x', 'y', 'z'], truncatedNormal(new Rng(1), 0.1))
    const out = join(folder, name)
    await saveVit(model, out, dialect, { config: { ...checkpoint.config } })
    const loaded = (await loadVit(backend, await openCheckpoint(out))).model
    assert.equal(loaded.config.classes, ['x', 'y', 'z'], name)
    assert.equal(loaded.config.imageSize, model.config.imageSize, name)
    assert.equal(await weightsOf(loaded), await weightsOf(model), name)
    assert.equal(await logitsFor(loaded, imagesFor(model)), await logitsFor(model, imagesFor(model)), name)
    disposeModule(model)
    disposeModule(loaded)
  }
})

async function loadOnce(backend: Backend, name: string): Promise<Vit> {
  const model = await load(backend, name)
  disposeModule(model)
  return model
}

check('a saved folder keeps the preprocessor and names the class that reads it', async ({ folder, backend }) => {
  const model = await load(backend, 'checkpoints/deit-distilled')
  await saveVit(model, folder, 'huggingface', { preprocessor: { image_mean: [0, 0, 0] } })
  const checkpoint = await openCheckpoint(folder)
  assert.equal(checkpoint.preprocessor, { image_mean: [0, 0, 0] })
  assert.equal(checkpoint.config.architectures, ['DeiTForImageClassificationWithTeacher'])
  assert.equal(checkpoint.config.label2id, { apple: 0, bread: 1, cherry: 2, date: 3, egg: 4 })
  disposeModule(model)
})

check(
  "a timm model is saved under Hugging Face's names where its library has such a model",
  async ({ folder, backend }) => {
    for (const name of checkpoints.filter((n) => n.startsWith('timm/'))) {
      const model = await load(backend, name)
      if (name.includes('dinov2')) {
        let said = ''
        await saveVit(model, join(folder, name)).catch((error) => {
          assert.instance(error, InputError)
          said = error.message
        })
        assert.match(said, /^save: Hugging Face's dinov2\w* cannot hold this model, which differs in .*pooling/)
      } else {
        await saveVit(model, join(folder, name))
        const again = (await loadVit(backend, await openCheckpoint(join(folder, name)))).model
        assert.equal(await logitsFor(again, imagesFor(model)), await logitsFor(model, imagesFor(model)), name)
        disposeModule(again)
      }
      disposeModule(model)
    }
  },
)

check('widths that hidden_size times mlp_ratio rounds away are kept', () => {
  for (const [hidden, mlpHidden] of [
    [28, 61],
    [88, 120],
    [384, 1536],
    [44, 15],
  ] as const) {
    const config = parseVitConfig({ model_type: 'dinov2', hidden_size: hidden, num_attention_heads: 2 })
    assert.is(parseVitConfig(configJson({ ...config, mlpHidden })).mlpHidden, mlpHidden)
  }
  const none = parseVitConfig({ model_type: 'dinov2_with_registers', num_register_tokens: 0 })
  assert.is(parseVitConfig(configJson(none)).registers, 0)
})

check(
  'a bare backbone loads, without its class name before the tensors and without a classifier',
  async ({ folder, backend }) => {
    for (const [name, prefix] of [
      ['vit', 'vit.'],
      ['dinov2-registers', 'dinov2_with_registers.'],
      ['deit', 'deit.'],
    ] as const) {
      const whole = await load(backend, `checkpoints/${name}`)
      const out = await rewrite(`checkpoints/${name}`, mkdtempSync(join(folder, 'bare-')), {
        tensors: (all) =>
          all.filter((t) => t.name.startsWith(prefix)).map((t) => ({ ...t, name: t.name.slice(prefix.length) })),
      })
      const { model, unused } = await loadVit(backend, await openCheckpoint(out))
      assert.is(model.head, undefined)
      assert.equal(model.config.classes, [])
      assert.equal(
        unused.filter((n) => n !== 'embeddings.mask_token'),
        [],
      )
      const want = await weightsOf(whole)
      for (const [key, values] of await weightsOf(model)) assert.equal(values, want.get(key), key)
      const message = /^vit: the model has no classifier; call setHead with the class names first$/
      assert.throws(() => model.classify(model.norm.weight, undefined as never), message)
      assert.ok(fitHead(model, ['a', 'b'], truncatedNormal(new Rng(1), 0.1)).isNew)
      assert.is((await logitsFor(model, imagesFor(model))).length, 4)
      disposeModule(model)
      disposeModule(whole)
    }
  },
)

check(
  'two nameless classes, which Hugging Face leaves out of config.json, keep their head',
  async ({ folder, backend }) => {
    await rewrite('checkpoints/vit', folder, {
      config: { id2label: undefined, label2id: undefined },
      tensors: (all) =>
        all.map((t) => {
          if (!t.name.startsWith('classifier.')) return t
          return { ...t, shape: [2, ...t.shape.slice(1)], data: t.data.slice(0, (t.data.length / 5) * 2) }
        }),
    })
    const { model } = await loadVit(backend, await openCheckpoint(folder))
    assert.equal(model.config.classes, ['LABEL_0', 'LABEL_1'])
    assert.is(model.head!.outFeatures, 2)
    disposeModule(model)
  },
)

check('missing tensors are listed in one error', async ({ folder, backend }) => {
  const few = ['vit.embeddings.cls_token', 'vit.encoder.layer.1.output.dense.weight', 'vit.layernorm.bias']
  await rewrite('checkpoints/vit', folder, { tensors: (all) => all.filter((t) => !few.includes(t.name)) })
  assert.is(await refusal(backend, folder), `3 tensors are missing: ${few.join(', ')}`)
  await rewrite('checkpoints/vit', folder, { tensors: (all) => all.filter((t) => !t.name.includes('layer.1')) })
  assert.match(await refusal(backend, folder), /^16 tensors are missing: vit\.encoder\.layer\.1\.\S+, .*, \.\.\.$/)
  await rewrite('checkpoints/vit', folder, { tensors: (all) => all.filter((t) => t.name !== 'classifier.bias') })
  assert.is(await refusal(backend, folder), 'one tensor is missing: classifier.bias')
  await rewrite('timm/vit', folder, {
    tensors: (all) => all.filter((t) => !/0\.attn\.qkv\.bias|1\.attn\.qkv\.weight|^norm\.weight/.test(t.name)),
  })
  const parts = 'blocks.0.attn.qkv.bias, blocks.1.attn.qkv.weight, norm.weight'
  assert.is(await refusal(backend, folder), `3 tensors are missing: ${parts}`)
})

check('tensors of other shapes are refused with what config.json asks for', async ({ folder, backend }) => {
  const cut = (name: string) => (all: TensorToWrite[]) =>
    all.map((t) => (t.name === name ? { ...t, shape: [t.data.length], data: t.data } : t))
  const said: [string, string, RegExp][] = [
    [
      'checkpoints/vit',
      'vit.encoder.layer.1.output.dense.weight',
      /^vit\S+ must be \(32, 64\) for this config\.json, got \(2048\)$/,
    ],
    [
      'checkpoints/vit',
      'vit.embeddings.position_embeddings',
      /^vit\S+ must be \(1, 17, 32\) for this config\.json, got \(544\)$/,
    ],
    [
      'checkpoints/vit',
      'vit.embeddings.patch_embeddings.projection.weight',
      /must be \(32, 3, 4, 4\) .* got \(1536\)$/,
    ],
    ['timm/vit', 'blocks.1.attn.qkv.weight', /^blocks\.1\.attn\.qkv\.weight must be \(72, 24\) .* got \(1728\)$/],
  ]
  for (const [checkpoint, name, message] of said) {
    await rewrite(checkpoint, folder, { tensors: cut(name) })
    assert.match(await refusal(backend, folder), message)
  }
  await rewrite('checkpoints/vit', folder, { config: { id2label: { 0: 'a', 1: 'b' } } })
  assert.is(await refusal(backend, folder), 'config.json: id2label must name 5 classes, got 2')
})

check('a config.json that claims huge sizes is refused before memory is asked for', async ({ folder }) => {
  const huge: Config[] = [
    { hidden_size: 16384 },
    { intermediate_size: 65536 },
    { num_hidden_layers: 1024 },
    { image_size: 8192, patch_size: 1 },
    { num_channels: 64, patch_size: 512, image_size: 8192 },
    { id2label: undefined, label2id: undefined, num_labels: 1e6 },
  ]
  for (const config of huge) {
    const backend = createReference()
    await rewrite('checkpoints/vit', folder, { config })
    backend.resetPeak()
    assert.match(await refusal(backend, folder), /must be \(.*\) for this config\.json|(is|are) missing: /)
    assert.ok(backend.memory().peak < 1e5, `${JSON.stringify(config)} took ${backend.memory().peak} bytes`)
  }
})

check('an input size that no grid of patches fits is refused', async ({ backend }) => {
  const folder = `${fixtures}checkpoints/vit`
  for (const inputSize of [3, 0, -8, 20.5, Number.NaN, [16, 2]]) {
    assert.match(
      await refusal(backend, folder, { inputSize }),
      /^input size: must be whole pixels, at least one patch of 4, got /,
    )
  }
  assert.is(
    await refusal(backend, folder, { inputSize: [16, 100_000] }),
    'input size: may be 8192 pixels a side, got 16 x 100000',
  )
})

check('every bad field of config.json is refused by name', () => {
  const good = { model_type: 'vit' }
  const bad: [Config, RegExp][] = [
    [{ model_type: 'bert' }, /model_type must be one of vit, dinov2, dinov2_with_registers, deit, got "bert"/],
    [{ model_type: undefined }, /model_type must be one of .* got undefined/],
    [{ hidden_act: 'relu' }, /hidden_act must be "gelu", got "relu"/],
    [{ attention_probs_dropout_prob: 1.1 }, /attention_probs_dropout_prob must be a number from 0 to 1, got 1\.1/],
    [{ quantization_config: { quant_method: 'gptq' } }, /quantization_config is .* is not computed here/],
    [{ architectures: ['ViTMSNForImageClassification'] }, /architectures must be classes of vit, got "ViTMSN/],
    [{ hidden_size: 0 }, /hidden_size must be a number from 1 to 16384, got 0/],
    [{ hidden_size: 32.5 }, /hidden_size must be a whole number, got 32\.5/],
    [{ hidden_size: '768' }, /hidden_size must be a number from 1 to 16384, got "768"/],
    [{ hidden_size: 100 }, /hidden_size must be a multiple of num_attention_heads, got 100 and 12/],
    [{ num_attention_heads: -1 }, /num_attention_heads must be a number/],
    [{ num_hidden_layers: 1e9 }, /num_hidden_layers must be a number from 1 to 1024, got 1000000000/],
    [{ intermediate_size: null, hidden_size: [] }, /hidden_size must be a number/],
    [{ intermediate_size: 1e9 }, /intermediate_size must be a number/],
    [{ patch_size: 0 }, /patch_size must be a number from 1 to 512, got 0/],
    [{ image_size: 0 }, /image_size must be a number from 1 to 8192, got 0/],
    [{ image_size: [224] }, /image_size must be a number from 1 to 8192, got undefined/],
    [{ image_size: [224, 1e9] }, /image_size must be a number from 1 to 8192/],
    [{ num_channels: 0 }, /num_channels must be a number/],
    [{ layer_norm_eps: -1 }, /layer_norm_eps must be a number from 0 to 1, got -1/],
    [{ qkv_bias: 'yes' }, /qkv_bias must be true or false, got "yes"/],
    [{ hidden_dropout_prob: 1 }, /hidden_dropout_prob must be a number from 0 to 0\.999, got 1/],
    [{ drop_path_rate: -0.1 }, /drop_path_rate must be a number/],
    [{ id2label: { 0: 'a', 2: 'c' } }, /id2label must name classes 0 to 1, got no text for 1/],
    [{ id2label: { 0: 'a', 1: [7] } }, /id2label must be a list of names, or numbers with names, got /],
    [{ num_labels: -1 }, /num_labels must be a number/],
    [{ model_type: 'dinov2', mlp_ratio: 0 }, /mlp_ratio must be a number from 0\.01 to 64, got 0/],
    [{ model_type: 'dinov2', use_swiglu_ffn: 1 }, /use_swiglu_ffn must be true or false, got 1/],
    [{ model_type: 'dinov2', layerscale_value: 'big' }, /layerscale_value must be a number/],
    [
      { model_type: 'dinov2_with_registers', num_register_tokens: 2.5 },
      /num_register_tokens must be a whole number, got 2\.5/,
    ],
  ]
  assert.is(parseVitConfig(good).hidden, 768)
  for (const [change, message] of bad) {
    let error: unknown
    try {
      parseVitConfig({ ...good, ...change })
    } catch (caught) {
      error = caught
    }
    assert.instance(error, InputError, JSON.stringify(change))
    assert.match((error as Error).message, message)
    assert.match((error as Error).message, /^config\.json: /)
  }
  for (const value of [null, 7, 'text', []]) assert.throws(() => parseVitConfig(value), /^config\.json: /)
})

check('a timm checkpoint whose parts do not fit together is refused', async ({ folder, backend }) => {
  const args = json('timm/vit/config.json').model_args
  const bad: [Config, (all: TensorToWrite[]) => TensorToWrite[], RegExp][] = [
    [{ model_args: { ...args, num_heads: 5 } }, (all) => all, /model_args\.num_heads must divide 24, got 5/],
    [{ model_args: { ...args, num_heads: '3' } }, (all) => all, /num_heads must divide 24, got "3"/],
    [{ model_args: { ...args, global_pool: 'avg' } }, (all) => all, /global_pool must be "token", got "avg"/],
    [{}, (all) => all.filter((t) => t.name !== 'pos_embed'), /needs pos_embed, which is missing/],
    [
      { model_args: { ...args, img_size: 16 } },
      (all) => all.map((t) => (t.name === 'pos_embed' ? { ...t, shape: [1, 34, 12] } : t)),
      /pos_embed must be a grid .* got 34 rows/,
    ],
    [
      {},
      (all) => all.map((t) => (t.name === 'blocks.0.mlp.fc1.weight' ? { ...t, shape: [24, 48] } : t)),
      /mlp\.fc1 and mlp\.fc2 must fit together, got 24 and 48/,
    ],
  ]
  for (const [config, tensors, message] of bad) {
    await rewrite('timm/vit', folder, { config, tensors })
    assert.match(await refusal(backend, folder), message)
  }
})

check('images of another size or without a batch are refused', async ({ backend }) => {
  const model = smallVit(backend)
  assert.throws(() => model.forward(model.norm.weight), /^vit: images must be \(B, 3, 8, 8\), got \(16\)$/)
  disposeModule(model)
})

check(
  'the last block computes the tokens that the classifier reads, as it would with all others',
  async ({ backend }) => {
    const kinds = [
      ['cls', 1],
      ['distilled', 2],
      ['cls+mean', 6],
      ['mean', 6],
    ] as const
    for (const [pooling, read] of kinds) {
      const model = smallVit(backend, { pooling, distillationToken: true, positionPrefix: 2, layerScale: true })
      const ctx = new Context()
      const images = tensor(backend, imagesFor(model), [2, 3, 8, 8])
      const tokens = model.encode(images, ctx)
      const all = scope(() =>
        model.norm.forward(model.blocks.reduce((x, block) => block.forward(x, ctx), model.embed(images, ctx))),
      )
      assert.equal(tokens.shape, [2, read, model.config.hidden])
      const [got, want] = await take([tokens, scope(() => slice(all, 1, 0, read))])
      assert.equal(got, want, pooling)
      all.dispose()
      images.dispose()
      disposeModule(model)
    }
  },
)

check('recomputing blocks or naming all patches changes no logit, and their order hardly any', async () => {
  const kinds: Partial<VitConfig>[] = [
    {},
    { pooling: 'cls+mean', layerScale: true, registers: 2, family: 'dinov2_with_registers' },
    { pooling: 'mean', qkvBias: false },
    { pooling: 'distilled', distillationToken: true, positionPrefix: 2, family: 'deit' },
    { swiglu: true, positionPrefix: 0, imageSize: [8, 12] },
  ]
  const found: Float32Array[][] = []
  for (const make of [
    async () => createReference(),
    () => createWasm({ threads: 1 }),
    () => createWasm({ threads: 2 }),
  ]) {
    const backend = await make()
    const logits: Float32Array[] = []
    for (const kind of kinds) {
      const model = smallVit(backend, kind)
      const [h, w] = model.config.imageSize
      const images = imagesFor(model)
      const rows = Int32Array.from({ length: 2 * model.patches }, (_, i) => i)
      const turned = rows.map((row) => (row < model.patches ? model.patches - 1 - row : row))
      const forward = async (options: { checkpoint?: boolean }, kept?: Int32Array) => {
        const [out] = await take([
          scope(() => {
            const keep = kept ? { keep: tensor(backend, kept, [kept.length]) } : {}
            return model.forward(tensor(backend, images, [2, 3, h, w]), new Context(true), { ...options, ...keep })
          }),
        ])
        return out as Float32Array
      }
      const plain = await logitsFor(model, images)
      assert.equal(await forward({ checkpoint: true }), plain)
      assert.equal(await forward({}, rows), plain)
      near(await forward({}, turned), plain, 1e-5, 'patches in another order')
      const half = await forward(
        {},
        rows.filter((row) => row % 2 === 0),
      )
      assert.ok(half.some((v, i) => Math.abs(v - plain[i]!) > 1e-3))
      logits.push(plain)
      disposeModule(model)
    }
    found.push(logits)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  }
  const [reference, ...others] = found as [Float32Array[], ...Float32Array[][]]
  for (const other of others) {
    for (const [i, values] of other.entries()) near(values, reference[i]!, 1e-5, `kind ${i}`)
  }
})

test.run()
