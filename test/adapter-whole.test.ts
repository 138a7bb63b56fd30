// Nothing in an adapter folder goes unread in silence: what is missing, over, doubled or of no meaning is refused or noted.
import { cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError, openModel } from 'vitune'
import {
  adaptedLayers,
  applyAdapter,
  injectAdapter,
  loraConfig,
  merge,
  openAdapter,
  saveAdapter,
} from 'vitune/adapters'
import { openSafetensors, type TensorToWrite } from 'vitune/io'
import { disposeModule } from 'vitune/nn'
import type { Backend } from 'vitune/tensor'
import { prepare } from 'vitune/train'
import { type Change, readJson, renamed, rewrite, without } from './adapter-changes.ts'
import { near } from './grad-check.ts'
import { check, fixtures, load, logitsFor, pixels, smallVit } from './small-vit.ts'

const lora = 'adapters/vit-lora'
const dora = 'adapters/vit-dora'
const root = 'base_model.model.'
const images = pixels(2, 3, 32)

/** Puts a folder on the stored ViT: its outputs and what was noted. */
async function outputs(backend: Backend, folder: string): Promise<{ logits: number[]; notes: string[] }> {
  const model = await load(backend, 'checkpoints/vit')
  const notes: string[] = []
  try {
    await applyAdapter(model, await openAdapter(folder), { onNote: (note) => notes.push(note) })
    return { logits: Array.from(await logitsFor(model, pixels(2, 3, model.config.imageSize[0]))), notes }
  } finally {
    disposeModule(model)
  }
}

const more =
  (name: string, shape: number[], value = 0.1) =>
  (all: TensorToWrite[]) => [
    ...all,
    { name: root + name, shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value) },
  ]
/** Another classifier's weights, as a raw state dict calls them. */
const other = (t: TensorToWrite): TensorToWrite => ({
  ...t,
  name: `${root}classifier.modules_to_save.two.weight`,
  data: (t.data as Float32Array).map((v) => 2 * v),
})
const query = 'vit.encoder.layer.0.attention.attention.query'

const refused: [string, string, Change, RegExp][] = [
  [
    'no classifier, which its settings save',
    lora,
    { tensors: without(/classifier/) },
    /adapter_config\.json saves classifier\.weight, classifier\.bias, but adapter_model\.safetensors lacks them, and the base's would be taken .*; save it again$/,
  ],
  [
    'half of a classifier',
    lora,
    { tensors: without(/classifier\.bias/) },
    /saves classifier\.bias, but adapter_model\.safetensors lacks it/,
  ],
  [
    'no tensors of one target',
    lora,
    { tensors: without(/query/) },
    /adapter_config\.json adapts vit\S+layer\.0\S+query, vit\S+layer\.1\S+query, but adapter_model\.safetensors lacks their tensors, and they would stay as in the base; save it again$/,
  ],
  [
    'no tensors of one block',
    lora,
    { tensors: without(/\.1\./) },
    /adapts vit\S+layer\.1\S+query, vit\S+layer\.1\S+value, but/,
  ],
  [
    'no tensors of a module to save that is named by its ending',
    lora,
    { config: { modules_to_save: ['classifier', 'norm'] } },
    /saves vit\.layernorm\.weight, vit\.layernorm\.bias, but adapter_model\.safetensors lacks them/,
  ],
  [
    'no tensors of a target that an expression takes in',
    lora,
    { config: { target_modules: '.*attention\\.(query|key|value)' } },
    /adapts vit\S+layer\.0\S+key, vit\S+layer\.1\S+key, but/,
  ],
  [
    'biases that are not there',
    lora,
    { config: { bias: 'lora_only' } },
    /trains biases \(lora_only\), but adapter_model\.safetensors lacks vit\S+query\.bias, vit\S+value\.bias and 2 more; save it again$/,
  ],
  [
    'not all biases',
    'adapters/vit-lora-bias-all',
    { tensors: without(/layernorm_after/) },
    /trains biases \(all\), but .* lacks vit\S+layernorm_after\.bias/,
  ],
  [
    'tensors of a layer that is no target',
    lora,
    { config: { target_modules: ['value'] } },
    /holds adapters of vit\S+layer\.0\S+query, vit\S+layer\.1\S+query, which adapter_config\.json does not adapt, so PEFT would leave them out; mend target_modules$/,
  ],
  [
    'tensors of a target inside a module to save',
    'adapters/vit-lora-saved-attention',
    {
      tensors: (all) =>
        all.flatMap((t) =>
          /layer\.1\S+lora/.test(t.name) ? [t, { ...t, name: t.name.replace('layer.1', 'layer.0') }] : [t],
        ),
    },
    /holds adapters of vit\.encoder\.layer\.0\S+query, vit\S+layer\.0\S+value, which adapter_config\.json does not adapt/,
  ],
  [
    'weights of the base under an adapter',
    lora,
    { tensors: more(`${query}.base_layer.weight`, [32, 32]) },
    /holds base_model\S+query\.base_layer\.weight, which no adapter of these settings changes; is it for another base, or bias not "none"\?$/,
  ],
  [
    'a bias that its settings do not train',
    lora,
    { tensors: more(`${query}.base_layer.bias`, [32]) },
    /holds base_model\S+query\.base_layer\.bias, which no adapter of these settings changes/,
  ],
  [
    'a tensor of no module',
    lora,
    { tensors: more('vit.encoder.layer.0.attention.q_norm.weight', [16]) },
    /holds base_model\S+q_norm\.weight, which this model does not have/,
  ],
  [
    'an adapted patch embedding',
    lora,
    { tensors: more('vit.embeddings.patch_embeddings.projection.lora_A.weight', [4, 3, 4, 4]) },
    /adapts vit\.embeddings\.patch_embeddings\.projection, a convolution, and adapters are read for linear layers only; merge it in PEFT/,
  ],
  [
    'two adapters in one file',
    lora,
    {
      tensors: (all) =>
        all.map((t, i) => ({ ...t, name: t.name.replace(/(lora_[AB])\./, `$1.${i % 2 ? 'one' : 'two'}.`) })),
    },
    /holds the adapters (one, two|two, one) in one file; save one of them alone$/,
  ],
  [
    'two values for one weight',
    lora,
    {
      tensors: (all) =>
        all.flatMap((t) =>
          /0\S+query\.lora_A/.test(t.name)
            ? [
                t,
                {
                  ...t,
                  name: t.name
                    .replace('attention.attention.query', 'attention.q_proj')
                    .replace('encoder.layer', 'layers'),
                  data: t.data.map((v) => v + 1) as Float32Array,
                },
              ]
            : [t],
        ),
    },
    /stand for the same weights, but differ; leave one out$/,
  ],
  [
    'two classifiers under the names of a raw state dict',
    lora,
    {
      tensors: (all) => [
        ...renamed('classifier.', 'classifier.modules_to_save.one.')(all),
        ...all.filter((t) => /classifier\.weight/.test(t.name)).map(other),
      ],
    },
    /classifier\.modules_to_save\.one\.weight and \S+\.modules_to_save\.two\.weight stand for the same weights, but differ; leave one out$/,
  ],
  [
    'a classifier beside another under the names of a raw state dict',
    lora,
    { tensors: (all) => all.flatMap((t) => (/classifier\.weight/.test(t.name) ? [t, other(t)] : [t])) },
    /classifier\.weight and \S+modules_to_save\.two\.weight stand for the same weights, but differ/,
  ],
  [
    'as many values in another shape',
    lora,
    { tensors: (all) => all.map((t) => (/0\S+query\.lora_A/.test(t.name) ? { ...t, shape: [32, 4] } : t)) },
    /rank 4, but its weights have rank 32$/,
  ],
  [
    'a convolution of the right size',
    lora,
    { tensors: (all) => all.map((t) => (/0\S+query\.lora_A/.test(t.name) ? { ...t, shape: [4, 32, 1, 1] } : t)) },
    /lora_A\.weight must be \(4, 32\), got \(4, 32, 1, 1\)$/,
  ],
  [
    'codes of a quantisation in place of values',
    lora,
    { tensors: (all) => all.map((t) => (/0\S+query\.lora_A/.test(t.name) ? { ...t, dtype: 'I32' } : t)) },
    /query\.lora_A\.weight must be of F32, F16, BF16, F64, got I32; quantised weights are not read$/,
  ],
  [
    'values that are not finite',
    dora,
    {
      tensors: (all) =>
        all.map((t) =>
          /0\S+query\.lora_mag/.test(t.name)
            ? { ...t, data: Float32Array.from(t.data, (v, i) => (i < 2 ? Number.NaN : v)) }
            : t,
        ),
    },
    /query\.lora_magnitude_vector holds 2 values of 32 that are NaN or infinite; its training went wrong, take an earlier adapter$/,
  ],
  [
    'DoRA with a LoRA bias',
    dora,
    { config: { lora_bias: true } },
    /^loraBias: does not go with DoRA, as in PEFT; leave one of them out$/,
  ],
  [
    'a LoRA bias and a start that has none',
    'adapters/vit-lora-b-bias',
    { config: { init_lora_weights: 'gaussian' } },
    /^loraBias: does not go with initLoraWeights gaussian, as in PEFT/,
  ],
  [
    'a layers pattern for no layers',
    lora,
    { config: { layers_pattern: 'layer' } },
    /^layersPattern: needs layersToTransform/,
  ],
  ...['pissa', 'pissa_niter_4', 'olora', 'corda', 'lora_ga', 'loftq'].map((init): [string, string, Change, RegExp] => [
    `a base changed by ${init}`,
    lora,
    { config: { init_lora_weights: init } },
    /init_lora_weights must be one that leaves the base weights alone \(save it in PEFT with path_initial_model_for_weight_conversion, as plain LoRA\), got/,
  ]),
  [
    'an unheard-of start',
    lora,
    { config: { init_lora_weights: 'magic' } },
    /init_lora_weights must be true, false or one of gaussian, orthogonal, eva, mica, got "magic"$/,
  ],
  ...Object.entries({
    layer_replication: [[0, 2]],
    target_parameters: ['x'],
    trainable_token_indices: [1],
    alora_invocation_tokens: [1],
    arrow_config: { top_k: 2 },
    megatron_config: { a: 1 },
    use_qalora: true,
    use_bdlora: { a: 1 },
    velora_config: { a: 1 },
    monteclora_config: { a: 1 },
    kasa_config: { a: 1 },
    fan_in_fan_out: true,
  }).map(([field, value]): [string, string, Change, RegExp] => [
    `${field}`,
    lora,
    { config: { [field]: value } },
    new RegExp(`^adapter_config\\.json: ${field} must be off \\(this variant is not supported\\), got`),
  ]),
]

for (const [what, name, change, message] of refused) {
  check(`an adapter with ${what} is refused before the model changes`, async ({ folder, backend }) => {
    await rewrite(name, folder, change)
    const model = await load(backend, 'checkpoints/vit')
    const [live, classes] = [backend.memory().buffers, model.config.classes]
    const said = await openAdapter(folder)
      .then((adapter) => applyAdapter(model, adapter))
      .catch((error: unknown) => error)
    assert.instance(said, InputError)
    assert.match((said as Error).message, message)
    assert.equal([adaptedLayers(model).length, backend.memory().buffers], [0, live])
    assert.is(model.config.classes, classes)
    disposeModule(model)
  })
}

// The same outputs as the adapter that it was made of, with a note on what was done, or without.
const accepted: [string, string, Change, RegExp | undefined][] = [
  [
    'a classifier under the names of a raw state dict',
    lora,
    { tensors: renamed('classifier.', 'classifier.modules_to_save.') },
    /classifier\.modules_to_save\.bias, \S+: names of a raw state dict, read as classifier\.bias, classifier\.weight$/,
  ],
  [
    "its own name in its tensors' names",
    dora,
    {
      tensors: (all) =>
        renamed('classifier.', 'classifier.modules_to_save.mine.')(renamed(/(lora_\w+)\b/, '$1.mine')(all)),
    },
    /names of a raw state dict/,
  ],
  [
    "PEFT's copy of the classifier as it was",
    lora,
    { tensors: more('classifier.original_module.weight', [5, 32]) },
    undefined,
  ],
  [
    'its layers under the names of both transformers 4 and 5',
    lora,
    {
      config: { target_modules: ['query', 'value', 'q_proj', 'v_proj'] },
      tensors: (all) => [
        ...all,
        ...renamed(
          /encoder\.layer\.(\d)\.attention\.attention\.(\w)\w+/,
          'layers.$1.attention.$2_proj',
        )(all.filter((t) => /lora/.test(t.name))),
      ],
    },
    undefined,
  ],
  [
    'the prefixes of wrappers',
    lora,
    { tensors: renamed(root, `_orig_mod.${root}`) },
    /"_orig_mod\." \(of torch\.compile\)/,
  ],
  ['no prefix of the family', lora, { tensors: renamed('.vit.', '.') }, undefined],
  [
    'the pooler adapted',
    lora,
    { tensors: more('vit.pooler.dense.lora_A.weight', [4, 32]) },
    /^not read: \S+pooler\.dense\.lora_A\.weight \(the pooler, which no classifier reads\)$/,
  ],
  [
    'names that are nothing here',
    lora,
    {
      config: {
        target_modules: ['query', 'value', 'q'],
        modules_to_save: ['classifier', 'score'],
        rank_pattern: { nix: 2 },
        alpha_pattern: { '.*fc[12]': 3 },
      },
    },
    /^adapter_config\.json: q, nix, \.\*fc\[12\] and 1 more is nothing in this model, and passed over$/,
  ],
  [
    'fields of a newer PEFT',
    lora,
    { config: { use_wonder: true, off_wonder: null, no_wonder: [] } },
    /^adapter_config\.json: use_wonder is not known here or to PEFT 0\.21, and left out$/,
  ],
  ['a start of EVA', lora, { config: { init_lora_weights: 'eva', eva_config: { rho: 2 } } }, undefined],
  ['a start of MiCA', lora, { config: { init_lora_weights: 'mica' } }, undefined],
  ['an orthogonal start', lora, { config: { init_lora_weights: 'orthogonal' } }, undefined],
  ['a random start', lora, { config: { init_lora_weights: false } }, undefined],
]

for (const [what, name, change, note] of accepted) {
  check(`an adapter with ${what} is the adapter that it was made of${note ? ', with a note' : ''}`, async (own) => {
    await rewrite(name, own.folder, change)
    const { logits, notes } = await outputs(own.backend, own.folder)
    assert.equal(logits, (await outputs(own.backend, fixtures + name)).logits)
    assert.is(notes.length, note ? 1 : 0, notes.join('\n'))
    if (note) assert.match(notes[0]!, note)
  })
}

check('what is nothing in a model is not in the settings that it is trained on and saved with', async (own) => {
  const config = {
    target_modules: ['query', 'value', 'q'],
    exclude_modules: ['fc1'],
    layers_to_transform: [0, 1, 7],
    modules_to_save: ['classifier', 'score'],
    rank_pattern: { nix: 2 },
    init_lora_weights: 'eva',
  }
  await rewrite(lora, own.folder, { config })
  const notes: string[] = []
  const model = await load(own.backend, 'checkpoints/vit')
  const read = await applyAdapter(model, await openAdapter(own.folder), { onNote: (note) => notes.push(note) })
  assert.equal(notes, ['adapter_config.json: q, fc1, layer 7 and 2 more is nothing in this model, and passed over'])
  assert.equal(read.targetModules, ['query', 'value'])
  assert.equal([read.layersToTransform, read.excludeModules, read.rankPattern], [[0, 1], undefined, {}])
  assert.equal([read.modulesToSave, read.initLoraWeights], [['classifier'], 'eva'])
  disposeModule(model)
  // The estimate of a run's memory makes a new adapter of them.
  const planned = await load(own.backend, 'checkpoints/vit')
  injectAdapter(planned, { ...read, initLoraWeights: true }, 0)
  disposeModule(planned)
})

check('class names in run.json are those of the classifier, or noted, or refused', async ({ folder, backend }) => {
  const named = async (classes: unknown) => {
    await rewrite(lora, folder, {})
    writeFileSync(join(folder, 'run.json'), JSON.stringify({ classes }))
    return outputs(backend, folder)
  }
  assert.equal((await named(['v', 'w', 'x', 'y', 'z'])).notes, [])
  assert.equal((await named(['v', 'w'])).notes, [
    'run.json names 2 classes for a classifier of 5, and is not taken for names',
  ])
  const said = await named([1, 2, 3, 4, 5]).catch((error: unknown) => error)
  assert.instance(said, InputError)
  assert.match((said as Error).message, /run\.json: classes must be a list of names, got \[1,2,3,4,5\]$/)
})

check('values that are not finite are taken when asked for, with a note', async ({ folder, backend }) => {
  const spoilt = (all: TensorToWrite[]) =>
    all.map((t) =>
      /0\S+query\.lora_A/.test(t.name) ? { ...t, data: new Float32Array(t.data.length).fill(Number.NaN) } : t,
    )
  await rewrite(lora, folder, { tensors: spoilt })
  const model = await load(backend, 'checkpoints/vit')
  const notes: string[] = []
  await applyAdapter(model, await openAdapter(folder), { allowNonFinite: true, onNote: (note) => notes.push(note) })
  assert.is(notes.length, 1)
  assert.match(notes[0]!, /query\.lora_A\.weight holds 128 values of 128 that are NaN or infinite$/)
  disposeModule(model)
})

check('a folder that is no adapter says what it is instead', async ({ folder }) => {
  const says = async (path: string, message: RegExp) => {
    const said = await openAdapter(path).catch((error: unknown) => error)
    assert.instance(said, InputError)
    assert.match((said as Error).message, message)
  }
  const at = (...parts: string[]) => join(folder, ...parts)
  cpSync(fixtures + lora, at('bin'), { recursive: true })
  renameSync(at('bin', 'adapter_model.safetensors'), at('bin', 'adapter_model.bin'))
  await says(
    at('bin'),
    /got adapter_model\.bin, a pickle; load it in PEFT and save it again, which writes safetensors$/,
  )
  cpSync(fixtures + lora, at('outer', 'other'), { recursive: true })
  await says(at('outer'), /got one in the folder other inside; give \S+outer\/other$/)
  await says(at('outer', 'other', 'adapter_config.json'), /got a file; give the folder that it lies in$/)
  await says(at('nowhere'), /got nothing there$/)
  await says(`${fixtures}checkpoints/vit`, /got a whole model; give it as the model, without an adapter$/)
  mkdirSync(at('empty'))
  await says(at('empty'), /got no adapter_config\.json$/)
})

check('a layernorm that the ending of a name saves is trained on and saved again', async ({ folder, backend }) => {
  const model = await load(backend, 'checkpoints/vit')
  const name = `${fixtures}adapters/vit-lora-saved-by-ending`
  const config = await applyAdapter(model, await openAdapter(name))
  await saveAdapter(model, folder, config)
  const [got, want] = await Promise.all(
    [folder, name].map((f) => openSafetensors(join(f, 'adapter_model.safetensors'))),
  )
  assert.ok(got!.has(`${root}vit.layernorm.weight`))
  assert.equal(got!.names(), want!.names())
  assert.equal(readJson(join(folder, 'adapter_config.json')).modules_to_save, ['classifier', 'norm'])
  disposeModule(model)
})

check('a module that is stored though nothing names it is said, kept and named', async ({ folder, backend }) => {
  const [source, out] = [join(folder, 'source'), join(folder, 'out')]
  const add = (all: TensorToWrite[]) => more('vit.layernorm.weight', [32], 2)(more('vit.layernorm.bias', [32], 3)(all))
  await rewrite(lora, source, { tensors: add })
  const model = await load(backend, 'checkpoints/vit')
  const notes: string[] = []
  const config = await applyAdapter(model, await openAdapter(source), { onNote: (note) => notes.push(note) })
  assert.match(notes.join('\n'), /^\S+source: also holds vit\.layernorm, taken as a module to save$/)
  await saveAdapter(model, out, config)
  const again = await openSafetensors(join(out, 'adapter_model.safetensors'))
  assert.equal(new Set(await again.read(`${root}vit.layernorm.bias`)), new Set([3]))
  assert.equal(readJson(join(out, 'adapter_config.json')).modules_to_save, ['classifier', 'vit.layernorm'])
  disposeModule(model)
})

check('modules to save inside others are written so that PEFT can read them, in both spellings', async (own) => {
  // PEFT saves and reads nested ones wrongly: 'attention' ends vit.encoder.layer.0.attention and ...attention.attention.
  const model = smallVit(own.backend, { layers: 2 })
  const config = injectAdapter(
    model,
    loraConfig({ targetModules: ['intermediate.dense'], modulesToSave: ['attention'] }),
    1,
  )
  const written = async (transformers: 4 | 5) => {
    const out = join(own.folder, `${transformers}`)
    await saveAdapter(model, out, config, { transformers })
    const again = smallVit(own.backend, { layers: 2 })
    await applyAdapter(again, await openAdapter(out))
    assert.equal(await logitsFor(again, images.slice(0, 192)), await logitsFor(model, images.slice(0, 192)))
    disposeModule(again)
    return (readJson(join(out, 'adapter_config.json')).modules_to_save as string[]).sort()
  }
  const blocks = [0, 1]
  assert.equal(await written(4), ['classifier', ...blocks.map((i) => `vit.encoder.layer.${i}.attention`)])
  // In transformers 5 nothing lies inside it.
  assert.equal(await written(5), ['attention', 'classifier'])
  disposeModule(model)
})

check('a base of another name, family or fingerprint is said, and the same under another name is not', async (own) => {
  const base = `${fixtures}checkpoints/vit`
  const noted = async (change: Change, run?: object): Promise<string> => {
    await rewrite(lora, own.folder, change)
    if (run) writeFileSync(join(own.folder, 'run.json'), JSON.stringify(run))
    const opened = await openModel(own.backend, base, { adapter: own.folder })
    disposeModule(opened.model)
    return opened.notes.filter((note) => note.startsWith('the adapter was trained on')).join('\n')
  }
  assert.is(await noted({}), '')
  for (const name of [
    'someone/vit',
    'C:\\models\\ViT\\',
    '/x/models--google--vit/snapshots/0123abcd',
    'google/vit@main',
    null,
  ])
    assert.is(await noted({ config: { base_model_name_or_path: name } }), '', String(name))
  assert.match(
    await noted({ config: { base_model_name_or_path: 'google/vit-large' } }),
    /^the adapter was trained on google\/vit-large, and this model is \S+; right if that is the same under another name$/,
  )
  const mapping = { base_model_class: 'X', parent_library: 'transformers.models.dinov2.modeling_dinov2' }
  assert.match(
    await noted({ config: { auto_mapping: mapping } }),
    /^the adapter was trained on a model of the family dinov2, and \S+ is of vit; outputs may mean nothing$/,
  )
  const opened = await openModel(own.backend, base, { fingerprint: true })
  disposeModule(opened.model)
  const { fingerprint } = opened
  assert.is(await noted({ config: { base_model_name_or_path: 'google/vit-large' } }, { fingerprint }), '')
  assert.match(
    await noted({}, { fingerprint: { ...fingerprint, weights: '00' } }),
    /^the adapter was trained on other weights than \S+ holds \(on checkpoints\/vit\); outputs may mean nothing$/,
  )
})

check('an adapter of the classifier predicts and merges, but is not trained on', async ({ backend }) => {
  const adapter = `${fixtures}adapters/vit-lora-on-classifier`
  const opened = await openModel(backend, `${fixtures}checkpoints/vit`, { adapter })
  const { model } = opened
  const side = pixels(2, 3, model.config.imageSize[0])
  const want = await logitsFor(model, side)
  merge(model).seal()
  near(await logitsFor(model, side), want, 1e-5, 'merged')
  disposeModule(model)
  const again = await openModel(backend, `${fixtures}checkpoints/vit`, { adapter })
  const { classes } = again.model.config
  const how = { seed: 0, adapter: again.lora }
  assert.throws(
    () => prepare(again.model, classes, 'lora', how),
    /^adapter: adapts the classifier, which trains whole here; merge it into its model first \(vitune merge\), then train that$/,
  )
  disposeModule(again.model)
})

test.run()
