// What a checkpoint holds is used, or named, or refused: every tensor, every shape, and what no shape can tell.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodeSafetensors, openCheckpoint, type TensorToWrite } from 'vitune/io'
import { type LoadOptions, loadVit, saveVit, type VitConfig } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import type { Backend } from 'vitune/tensor'
import { near } from './grad-check.ts'
import { check, checkpoints, fixtures, json, logitsFor, pixels, refusal, rewrite, smallVit } from './small-vit.ts'

const own = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], crop_pct: 0.9, interpolation: 'bicubic' }

/** Logits of a folder's model for random images, and what was said of it. */
async function tried(backend: Backend, folder: string, options: LoadOptions = {}) {
  const { model, notes, unused } = await loadVit(backend, await openCheckpoint(folder), options)
  const [h, w] = model.config.imageSize
  const logits = await logitsFor(model, pixels((2 * h * w) / 16, 1, 4))
  const { config } = model
  disposeModule(model)
  return { logits, notes: notes.join('\n'), unused, config }
}

const renamed = (change: (name: string) => string) => (all: TensorToWrite[]) =>
  all.map((t) => ({ ...t, name: change(t.name) }))
const extra =
  (...names: string[]) =>
  (all: TensorToWrite[]) => [...all, ...names.map((name) => ({ name, shape: [2], data: Float32Array.of(1, 2) }))]

/** A random model under timm's names, as one of its architectures. */
async function timmModel(
  backend: Backend,
  folder: string,
  architecture: string,
  changes: Partial<VitConfig>,
  more = {},
) {
  const model = smallVit(backend, changes)
  const out = mkdtempSync(join(folder, 'timm-'))
  await saveVit(model, out, 'timm', { config: { architecture, pretrained_cfg: own, ...more } })
  const [h, w] = model.config.imageSize
  const logits = await logitsFor(model, pixels((2 * h * w) / 16, 1, 4))
  disposeModule(model)
  return { out, logits }
}

check("wrappers' parts are taken off the names of tensors, and said", async ({ folder, backend }) => {
  const wraps: [string, (name: string) => string, RegExp][] = [
    ['checkpoints/vit', (n) => `module.${n}`, /^taken off the names of tensors: "module\." \(of DataParallel\)$/],
    ['timm/vit', (n) => `module._orig_mod.${n}`, /"module\." .*"_orig_mod\." \(of torch\.compile\)/],
    ['timm/dinov2', (n) => n.replace(/^blocks\.1\./, 'blocks.1._orig_mod.'), /"_orig_mod\."/],
    ['checkpoints/vit', (n) => n.replace(/^vit\./, 'vit._fsdp_wrapped_module.'), /of FSDP/],
  ]
  for (const [name, wrap, note] of wraps) {
    const plain = await tried(backend, fixtures + name)
    const wrapped = await tried(backend, await rewrite(name, folder, { tensors: renamed(wrap) }))
    assert.equal(wrapped.logits, plain.logits)
    assert.match(wrapped.notes, note)
  }
})

check('two stored tensors for one parameter are refused', async ({ folder, backend }) => {
  const doubles: [string, string, RegExp][] = [
    ['checkpoints/vit', 'module.classifier.bias', /holds classifier\.bias twice, as classifier\.bias and as module\./],
    ['checkpoints/vit', 'embeddings.cls_token', /(\S+cls_token and \S+cls_token) are the same tensor/],
    ['timm/dinov2-registers', 'register_tokens', /reg_token and register_tokens are the same tensor/],
  ]
  for (const [name, twice, message] of doubles) {
    await rewrite(name, folder, { tensors: extra(twice) })
    assert.match(await refusal(backend, folder), message)
  }
})

check('a prefix that no library stores is named where tensors are missing', async ({ folder, backend }) => {
  for (const [name, prefix] of [
    ['checkpoints/vit', 'base_model.model.'],
    ['checkpoints/dinov2', 'model.'],
  ] as const) {
    await rewrite(name, folder, { tensors: renamed((n) => prefix + n) })
    const message = new RegExp(
      `tensors are missing: .*; names begin with "${prefix}", which no library stores, take it off$`,
    )
    assert.match(await refusal(backend, folder), message)
  }
  await rewrite('timm/vit', folder, { tensors: renamed((n) => `backbone.${n}`) })
  assert.is(
    await refusal(backend, folder),
    'timm\'s names begin with "backbone.", which no library stores, take it off',
  )
})

check('tensors that would be left unread are refused with what they mean', async ({ folder, backend }) => {
  const others: [string, string[], RegExp][] = [
    ['timm/vit', ['norm_pre.weight', 'norm_pre.bias'], /2 tensors .*norm_pre\.bias, norm_pre\.weight \(a norm before/],
    ['timm/vit', ['blocks.1.attn.q_norm.weight'], /a tensor .*q_norm\.weight \(normalised queries and keys\)/],
    ['timm/vit', ['blocks.1.mlp.fc1_g.weight'], /fc1_g\.weight \(a gated/],
    ['timm/vit', ['fc_norm.weight'], /\(the mean of the patches/],
    ['timm/vit', ['register_tokens'], /register tokens|model_args\.reg_tokens/],
    ['timm/vit', ['blocks.0.ls2.gamma'], /LayerScale/],
    ['timm/vit', ['rope.freqs'], /positions of another kind/],
    ['timm/vit', ['attn_pool.q.weight'], /pooling by attention/],
    ['timm/vit', ['pre_logits.fc.weight'], /a layer between features and classifier/],
    ['checkpoints/vit', ['classifier.1.weight'], /a classifier of another make/],
    ['checkpoints/vit', ['vit.encoder.layer.0.layer_scale1.lambda1'], /LayerScale/],
    ['checkpoints/vit', ['vit.encoder.layer.0.output.dense.weight.absmax'], /quantised weights/],
    ['checkpoints/vit', ['vit.encoder.layer.2.layernorm_after.bias'], /more in its blocks/],
    ['checkpoints/dinov2', ['dinov2.embeddings.register_tokens'], /register tokens/],
    ['checkpoints/deit', ['deit.encoder.layer.0.attention.attention.query.lora_A.weight'], /an adapter's weights/],
    ['checkpoints/vit', ['something'], /holds a tensor that this model would leave unread: something; use/],
  ]
  for (const [name, extras, message] of others) {
    await rewrite(name, folder, { tensors: extra(...extras) })
    assert.match(await refusal(backend, folder), message)
  }
})

check('tensors that change nothing are left out and named', async ({ folder, backend }) => {
  const plain = await tried(backend, `${fixtures}checkpoints/vit`)
  const tensors = extra(
    'vit.embeddings.mask_token',
    'vit.pooler.dense.weight',
    'vit.pooler.dense.bias',
    'decoder.0.bias',
  )
  const found = await tried(backend, await rewrite('checkpoints/vit', folder, { tensors }))
  assert.equal(found.logits, plain.logits)
  assert.match(found.notes, /^not read: vit\.embeddings\.mask_token \(hides patches in pre-training\)$/m)
  assert.match(found.notes, /^not read: vit\.pooler\.dense\.bias, vit\.pooler\.dense\.weight \(the pooler,/m)
  assert.is(found.unused.length, 4)
  assert.is(plain.notes, '')
})

check('shapes must be equal, not only in what they multiply to', async ({ folder, backend }) => {
  const shapes: [string, string, number[]][] = [
    ['checkpoints/vit', 'vit.embeddings.cls_token', [1, 32]],
    ['checkpoints/vit', 'vit.embeddings.cls_token', [32]],
    ['checkpoints/vit', 'vit.layernorm.bias', [1, 32]],
    ['checkpoints/vit', 'classifier.weight', [5, 32, 1]],
    ['checkpoints/dinov2', 'dinov2.encoder.layer.0.layer_scale1.lambda1', [32, 1]],
    ['timm/vit', 'pos_embed', [17, 24]],
    ['timm/vit', 'blocks.0.attn.proj.weight', [24, 24, 1, 1]],
  ]
  for (const [name, tensor, shape] of shapes) {
    await rewrite(name, folder, { tensors: (all) => all.map((t) => (t.name === tensor ? { ...t, shape } : t)) })
    assert.match(await refusal(backend, folder), /must be \(.*\) for this config\.json, got|pos_embed must be/, tensor)
  }
})

check('whole numbers are no weights', async ({ folder, backend }) => {
  const { names, info, read, config } = await openCheckpoint(`${fixtures}checkpoints/vit`)
  const all: TensorToWrite[] = []
  for (const name of names()) all.push({ name, shape: info(name).shape, data: await read(name) })
  const bytes = encodeSafetensors(all)
  const length = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const text = new TextDecoder().decode(bytes.subarray(0, length))
  bytes.set(new TextEncoder().encode(text.replace(/("classifier\.bias":\{"dtype":)"F32"/, '$1"I32"')))
  writeFileSync(join(folder, 'model.safetensors'), bytes)
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  assert.match(await refusal(backend, folder), /^classifier\.bias must be of F32, F16, BF16, F64, got I32; quantised/)
})

check(
  'weights that are not finite are refused with their tensor and number, or let in on request',
  async ({ folder, backend }) => {
    for (const [name, size] of [
      ['checkpoints/vit', 2048],
      ['timm/vit', 1728],
      ['checkpoints/vit-bf16', 512],
    ] as const) {
      const tensor = name.startsWith('timm') ? 'blocks.1.attn.qkv.weight' : 'vit.encoder.layer.1.output.dense.weight'
      await rewrite(name, folder, {
        tensors: (all) =>
          all.map((t) => {
            if (t.name !== tensor) return t
            const data = Float32Array.from(t.data)
            data.set([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], 7)
            return { ...t, data }
          }),
      })
      const found = `3 of ${size} values in ${tensor}`
      assert.is((await refusal(backend, folder)).split(';')[0], `weights must be finite, got ${found}`)
      const { notes } = await tried(backend, folder, { allowNonFinite: true })
      assert.is(notes, `weights that are not finite were let in: ${found}`)
      const packing = { format: 'nf4' } as const
      assert.is(
        (await refusal(backend, folder, { packing, allowNonFinite: true })).split(';')[0],
        `weights that are packed must be finite, got ${found}`,
      )
    }
  },
)

check(
  'heads come from the configuration or the name of the architecture, never from the width',
  async ({ folder, backend }) => {
    const { out, logits } = await timmModel(backend, folder, 'vit_base_patch16_224', { hidden: 192, heads: 12 })
    const found = await tried(backend, out)
    assert.is(found.config.heads, 12)
    assert.equal(found.logits, logits)
    const unknown = await timmModel(backend, folder, 'my_own_vit', { hidden: 192, heads: 3 })
    assert.match(
      await refusal(backend, unknown.out),
      /number of heads of my_own_vit is not known; add "model_args": \{"num_heads": N\}/,
    )
    const told = await timmModel(
      backend,
      folder,
      'my_own_vit',
      { hidden: 192, heads: 6 },
      { model_args: { num_heads: 6 } },
    )
    assert.equal((await tried(backend, told.out)).logits, told.logits)
    assert.is(
      (await tried(backend, told.out)).notes,
      "config.json: my_own_vit is none of timm's; gelu and a norm epsilon of 1e-6 are taken, as its VisionTransformer has them",
    )
    // Every stored model gives the same without its own number where the table has it.
    const { num_heads: _, ...args } = json('timm/vit/config.json').model_args
    const config = { model_args: args }
    const stored = await tried(backend, `${fixtures}timm/vit`)
    assert.equal((await tried(backend, await rewrite('timm/vit', folder, { config }))).logits, stored.logits)
  },
)

check(
  'architectures that compute otherwise are refused by name, and arguments that ask for it',
  async ({ folder, backend }) => {
    const names: [string, RegExp][] = [
      ['vit_base_patch32_clip_quickgelu_224', /has a norm before its blocks/],
      ['vit_base_patch16_siglip_224', /pools by attention/],
      ['vit_base_patch16_18x2_224', /side by side/],
      ['vit_medium_patch16_gap_256', /takes the mean of its patches/],
      ['vit_base_patch16_dinov3', /positions of another kind/],
    ]
    for (const [architecture, message] of names) {
      await rewrite('timm/vit', folder, { config: { architecture } })
      assert.match(await refusal(backend, folder), message)
    }
    const args = json('timm/vit/config.json').model_args
    const changes = {
      act_layer: 'quick_gelu',
      qk_norm: true,
      norm_layer: 'rmsnorm',
      class_token: false,
      pre_norm: true,
      new_thing: 1,
    }
    for (const [name, value] of Object.entries(changes)) {
      await rewrite('timm/vit', folder, { config: { model_args: { ...args, [name]: value } } })
      assert.match(
        await refusal(backend, folder),
        new RegExp(`model_args\\.${name} is .*, which cannot be computed here`),
      )
    }
    const told: [string, unknown, RegExp][] = [
      ['embed_dim', 192, /model_args\.embed_dim must be 24 as the tensors are, got 192/],
      ['depth', 12, /model_args\.depth must be 2 as the tensors are, got 12/],
      ['qkv_bias', false, /model_args\.qkv_bias must be true/],
      ['no_embed_class', true, /model_args\.no_embed_class must be false/],
      ['reg_tokens', 4, /model_args\.reg_tokens must be 0/],
      ['num_classes', 1000, /num_classes must be 5 as the tensors are, got 1000/],
    ]
    for (const [name, value, message] of told) {
      await rewrite('timm/vit', folder, { config: { model_args: { ...args, [name]: value } } })
      assert.match(await refusal(backend, folder), message)
    }
  },
)

check('a checkpoint without its last block is no smaller model', async ({ folder, backend }) => {
  const whole = await timmModel(backend, folder, 'vit_tiny_patch16_224', { hidden: 192, heads: 3, layers: 12 })
  assert.equal((await tried(backend, whole.out)).logits, whole.logits)
  const cut = await timmModel(backend, folder, 'vit_tiny_patch16_224', { hidden: 192, heads: 3, layers: 11 })
  assert.match(await refusal(backend, cut.out), /model_args\.depth must be 11 as the tensors are, got 12/)
})

check("a gated MLP is read only where its activation is known: DINOv2 giant's", async ({ folder, backend }) => {
  await rewrite('timm/dinov2-swiglu', folder, { config: { architecture: 'my_vit' } })
  assert.match(await refusal(backend, folder), /mlp\.fc1 is twice as wide as mlp\.fc2, a gated MLP/)
  await rewrite('timm/dinov2', folder, { config: { architecture: 'vit_giant_patch14_dinov2' } })
  assert.match(await refusal(backend, folder), /has SwiGLU, whose mlp\.fc1 is twice as wide/)
})

check(
  "Meta's own names of DINOv2 are read: register tokens that have no positions, w12 and w3",
  async ({ folder, backend }) => {
    const stored = await tried(backend, `${fixtures}timm/dinov2-swiglu`)
    const w = renamed((n) => n.replace('.fc1.', '.w12.').replace('.fc2.', '.w3.'))
    const meta = await tried(backend, await rewrite('timm/dinov2-swiglu', folder, { tensors: w }))
    assert.equal(meta.logits, stored.logits)

    // timm's class token is Meta's plus the first of Meta's positions.
    const row = Float32Array.from({ length: 24 }, (_, i) => ((i % 5) - 2) / 4)
    const out = await rewrite('timm/dinov2-registers', mkdtempSync(join(folder, 'meta-')), {
      tensors: (all) => [
        ...all.map((t) => {
          if (t.name === 'reg_token') return { ...t, name: 'register_tokens' }
          if (t.name === 'cls_token') return { ...t, data: Float32Array.from(t.data, (x, i) => x - row[i]!) }
          if (t.name !== 'pos_embed') return t
          return { ...t, shape: [1, t.shape[1]! + 1, 24], data: Float32Array.of(...row, ...t.data) }
        }),
        { name: 'mask_token', shape: [1, 24], data: new Float32Array(24) },
      ],
    })
    const timm = await tried(backend, `${fixtures}timm/dinov2-registers`)
    const found = await tried(backend, out)
    near(found.logits, timm.logits, 1e-5, 'registers')
    assert.is(found.notes, 'not read: mask_token (hides patches in pre-training)')
    // Saved, it is timm's.
    const checkpoint = await openCheckpoint(out)
    const { model } = await loadVit(backend, checkpoint)
    const again = join(folder, 'again')
    await saveVit(model, again, 'timm', { config: { ...checkpoint.config } })
    disposeModule(model)
    assert.equal((await openCheckpoint(again)).info('pos_embed').shape, [1, 16, 24])
    assert.equal((await tried(backend, again)).logits, found.logits)
  },
)

check('a saved configuration has floats where transformers 5 takes nothing else', async ({ folder, backend }) => {
  const out = join(folder, 'saved')
  const { model } = await loadVit(backend, await openCheckpoint(`${fixtures}checkpoints/dinov2`))
  await saveVit(model, out)
  disposeModule(model)
  const text = readFileSync(join(out, 'config.json'), 'utf8')
  for (const name of ['layerscale_value', 'layer_norm_eps']) {
    assert.match(text, new RegExp(`\n {2}"${name}": \\d+\\.\\d+,?\n`))
  }
})

check("DeiT's two classifiers are both read, whatever architectures says", async ({ folder, backend }) => {
  const stored = await tried(backend, `${fixtures}checkpoints/deit-distilled`)
  for (const architectures of [undefined, ['DeiTModel'], ['DeiTForImageClassification']]) {
    const found = await tried(
      backend,
      await rewrite('checkpoints/deit-distilled', folder, { config: { architectures } }),
    )
    assert.equal(found.logits, stored.logits)
  }
})

check('attention dropout of a configuration is no matter of prediction', async ({ folder, backend }) => {
  const stored = await tried(backend, `${fixtures}checkpoints/vit`)
  await rewrite('checkpoints/vit', folder, { config: { attention_probs_dropout_prob: 0.1 } })
  assert.equal((await tried(backend, folder)).logits, stored.logits)
})

check(
  'shards must be named whole by their index, and weights beside the model are told',
  async ({ folder, backend }) => {
    const from = await openCheckpoint(`${fixtures}checkpoints/vit`)
    const all: TensorToWrite[] = []
    for (const name of from.names()) all.push({ name, shape: from.info(name).shape, data: await from.read(name) })
    const shard = 'model-00001-of-00001.safetensors'
    writeFileSync(join(folder, shard), encodeSafetensors(all))
    writeFileSync(join(folder, 'config.json'), JSON.stringify(from.config))
    const index = (names: string[]) =>
      writeFileSync(
        join(folder, 'model.safetensors.index.json'),
        JSON.stringify({ weight_map: Object.fromEntries(names.map((name) => [name, shard])) }),
      )
    index(from.names().slice(1))
    assert.match(await refused(folder), /must name all tensors of its shards, got none of \S+ in model-00001/)
    index(from.names())
    assert.is((await tried(backend, folder)).notes, '')
    writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors(all))
    writeFileSync(join(folder, 'adapter_model.safetensors'), encodeSafetensors(all.slice(0, 1)))
    const { notes } = await tried(backend, folder)
    assert.match(notes, /^model\.safetensors is read, not the shards of model\.safetensors\.index\.json beside it$/m)
    assert.match(notes, /^the adapter in the model folder is not put on/m)
  },
)

/** What opening a folder ends with. */
const refused = (folder: string): Promise<string> =>
  openCheckpoint(folder).then(
    () => 'opened',
    (error) => error.message,
  )

check('every stored checkpoint is used whole', async ({ backend }) => {
  for (const name of checkpoints) {
    const { notes } = await tried(backend, fixtures + name)
    assert.match(notes, /^(not read: (dinov2\w*\.embeddings\.)?mask_token \(hides patches in pre-training\))?$/, name)
  }
})

test.run()
