// Adapter folders: what PEFT wrote is written again as it was, what we write reads back bit for bit, what is refused.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError, openModel } from 'vitune'
import {
  adaptedLayers,
  applyAdapter,
  injectAdapter,
  type LoraConfig,
  loraConfig,
  openAdapter,
  removeAdapters,
  saveAdapter,
} from 'vitune/adapters'
import { openSafetensors } from 'vitune/io'
import { fitHead, type Vit } from 'vitune/models'
import { disposeModule, namedParameters, setTrainable, truncatedNormal } from 'vitune/nn'
import { type Backend, Rng } from 'vitune/tensor'
import { type Change, type Json, readJson, renamed, resized, rewrite, without } from './adapter-changes.ts'
import { check, fixtures, folders, json, load, logitsFor, pixels, smallVit, weightsOf } from './small-vit.ts'

/** Images for the model's own size. */
const imagesFor = ({ config }: Vit) => pixels(2 * config.imageSize[0] * config.imageSize[1], 3, 1)

/** Puts a stored adapter on its base model and saves it to `out`. */
async function loadAndSave(backend: Backend, name: string, out: string, transformers: 4 | 5 = 4): Promise<Vit> {
  const { base } = json(`${name}/values.json`)
  const model = await load(backend, base)
  const config = await applyAdapter(model, await openAdapter(fixtures + name))
  await saveAdapter(model, out, config, { baseModel: base, transformers })
  return model
}

/** Settings without the version, and the targets in order. */
const comparable = ({ peft_version: _, target_modules, ...rest }: Json) => ({
  ...rest,
  target_modules: Array.isArray(target_modules) ? [...target_modules].sort() : target_modules,
})

/** Throws unless both folders hold the same weights; returns the settings in them. */
async function compare(name: string, out: string): Promise<[Json, Json]> {
  const stored = fixtures + name
  const want = await openSafetensors(join(stored, 'adapter_model.safetensors'))
  const got = await openSafetensors(join(out, 'adapter_model.safetensors'))
  // With bias "all" PEFT also writes two copies of the classifier's bias that it never reads.
  const idle = /classifier\.(modules_to_save|original_module)\.bias$/
  const keys = want.names().filter((key) => !idle.test(key))
  assert.is(want.names().length - keys.length, name.includes('bias-all') ? 2 : 0, name)
  assert.equal(got.names(), keys, name)
  assert.equal(got.metadata, want.metadata, name)
  for (const key of keys) {
    assert.equal(got.info(key).shape, want.info(key).shape, `${name} ${key}`)
    assert.equal(await got.read(key), await want.read(key), `${name} ${key}`)
  }
  // Half precision is written as f32; otherwise the files are the same, byte for byte.
  const bytes = (path: string) => readFileSync(join(path, 'adapter_model.safetensors'))
  if (!/f16|bias-all/.test(name)) assert.equal(bytes(out), bytes(stored), name)
  const settings = (path: string) => readJson(join(path, 'adapter_config.json'))
  return [settings(out), settings(stored)]
}

check('an adapter that PEFT wrote is written again with the same bytes and settings', async ({ folder, backend }) => {
  for (const name of folders('adapters')) {
    const out = join(folder, name)
    disposeModule(await loadAndSave(backend, `adapters/${name}`, out))
    const [got, want] = await compare(`adapters/${name}`, out)
    // This one was written by hand with the fewest fields.
    if (name === 'vit-lora-minimal-config') continue
    // How EVA looks at the data matters to a fresh adapter only, which is begun in PEFT.
    if (name === 'vit-lora-eva') want.eva_config = null
    assert.equal(comparable(got), comparable(want), name)
    assert.equal(Object.keys(got), Object.keys(want), name)
  }
})

check(
  'an adapter of transformers 5 is written again so on request, its targets by their whole names',
  async (context) => {
    for (const name of folders('adapters-v5')) {
      const out = join(context.folder, name)
      const model = await loadAndSave(context.backend, `adapters-v5/${name}`, out, 5)
      const [{ target_modules: targets, ...got }, { target_modules: _, ...want }] = await compare(
        `adapters-v5/${name}`,
        out,
      )
      assert.equal(comparable(got), comparable(want), name)
      const file = await openSafetensors(join(out, 'adapter_model.safetensors'))
      const layers = file.names().filter((key) => key.endsWith('.lora_A.weight'))
      assert.equal(targets, layers.map((key) => key.slice('base_model.model.'.length, -'.lora_A.weight'.length)).sort())
      disposeModule(model)
    }
  },
)

check('a classifier that PEFT reads without being told is kept and told', async ({ folder, backend }) => {
  const name = 'adapters/vit-lora-minimal-config'
  const model = await loadAndSave(backend, name, folder)
  assert.is(json(`${name}/adapter_config.json`).modules_to_save, undefined)
  assert.equal(readJson(join(folder, 'adapter_config.json')).modules_to_save, ['classifier'])
  disposeModule(model)
})

check('every stored adapter, saved and read again, gives the same logits bit for bit', async ({ folder, backend }) => {
  for (const kind of ['adapters', 'adapters-v5']) {
    for (const name of folders(kind)) {
      const out = join(folder, kind, name)
      const model = await loadAndSave(backend, `${kind}/${name}`, out)
      const again = await load(backend, json(`${kind}/${name}/values.json`).base)
      await applyAdapter(again, await openAdapter(out))
      assert.equal(await weightsOf(again), await weightsOf(model), name)
      assert.equal(await logitsFor(again, imagesFor(model)), await logitsFor(model, imagesFor(model)), name)
      disposeModule(model)
      disposeModule(again)
    }
  }
})

check(
  'names of transformers 5 are written in the classic spelling, with ranks of their own',
  async ({ folder, backend }) => {
    const source = join(folder, 'source')
    cpSync(`${fixtures}adapters-v5/vit-lora-all-linear`, source, { recursive: true })
    const config = readJson(join(source, 'adapter_config.json'))
    // The same adapter with its rank and alpha given by pattern.
    const patterns = {
      r: 99,
      lora_alpha: 99,
      rank_pattern: { '.*': config.r },
      alpha_pattern: { '.*': config.lora_alpha },
    }
    writeFileSync(join(source, 'adapter_config.json'), JSON.stringify({ ...config, ...patterns }))
    const model = await load(backend, 'checkpoints/vit')
    const read = await applyAdapter(model, await openAdapter(source))
    await saveAdapter(model, join(folder, 'out'), read)
    const keys = (await openSafetensors(join(folder, 'out/adapter_model.safetensors'))).names()
    assert.ok(keys.every((key) => !/q_proj|vit\.layers|fc1/.test(key)))
    const again = await load(backend, 'checkpoints/vit')
    await applyAdapter(again, await openAdapter(join(folder, 'out')))
    assert.equal(await logitsFor(again, imagesFor(again)), await logitsFor(model, imagesFor(again)))
    disposeModule(model)
    disposeModule(again)
  },
)

check('an adapter saved here reads back bit for bit, with its classes from run.json', async ({ folder, backend }) => {
  const kinds: Partial<LoraConfig>[] = [
    { bias: 'all', modulesToSave: ['vit.layernorm'] },
    { useDora: true, targetModules: 'all-linear', r: 3, bias: 'lora_only' },
    {
      loraBias: true,
      useRslora: true,
      targetModules: '.*(query|key)',
      rankPattern: { query: 2 },
      alphaPattern: { key: 3 },
    },
    { targetModules: ['dense'], excludeModules: ['output.dense'], layersToTransform: [0, 2], layersPattern: 'layer' },
    { dropout: 0.1, initLoraWeights: 'gaussian' },
  ]
  for (const [i, kind] of kinds.entries()) {
    for (const distilled of [false, true]) {
      const shape = distilled
        ? ({ family: 'deit', pooling: 'distilled', distillationToken: true, positionPrefix: 2 } as const)
        : {}
      const name = (spec: string) => (distilled ? spec.replace('vit.', 'deit.') : spec)
      const model = smallVit(backend, shape)
      const base = smallVit(backend, shape)
      fitHead(model, ['one', 'two'], truncatedNormal(new Rng(2), 0.1))
      const partial = { ...kind, ...(kind.modulesToSave ? { modulesToSave: kind.modulesToSave.map(name) } : {}) }
      const config = injectAdapter(model, loraConfig(partial), 1)
      const rng = new Rng(9)
      for (const [, p] of namedParameters(model)) {
        if (p.trainable) p.assign(Float32Array.from({ length: p.size }, () => rng.normal()))
      }
      const out = join(folder, `${i}${distilled}`)
      await saveAdapter(model, out, config, { baseModel: 'google/vit' })
      writeFileSync(join(out, 'run.json'), JSON.stringify({ classes: ['one', 'two'] }))
      const adapter = await openAdapter(out)
      assert.is(adapter.baseModel, 'google/vit')
      const read = await applyAdapter(base, adapter)
      assert.equal(base.config.classes, ['one', 'two'])
      assert.equal(await weightsOf(base), await weightsOf(model))
      const flags = (m: Vit) => [...namedParameters(m)].map(([path, p]) => `${path} ${p.trainable}`)
      assert.equal(flags(base), flags(model), 'what trains')
      assert.equal(await logitsFor(base, imagesFor(base)), await logitsFor(model, imagesFor(model)))
      // And written once more it is the same folder.
      await saveAdapter(base, `${out}-again`, read, { baseModel: 'google/vit' })
      for (const file of ['adapter_config.json', 'adapter_model.safetensors']) {
        assert.equal(readFileSync(join(`${out}-again`, file)), readFileSync(join(out, file)), file)
      }
      disposeModule(model)
      disposeModule(base)
    }
  }
})

check('without class names a classifier of another size gets numbered ones', async ({ folder, backend }) => {
  const model = smallVit(backend)
  fitHead(model, ['a', 'b', 'c', 'd'], truncatedNormal(new Rng(2), 0.1))
  await saveAdapter(model, folder, injectAdapter(model, loraConfig(), 1))
  const base = smallVit(backend)
  await applyAdapter(base, await openAdapter(folder))
  assert.equal(base.config.classes, ['LABEL_0', 'LABEL_1', 'LABEL_2', 'LABEL_3'])
  disposeModule(model)
  disposeModule(base)
})

check('what trains but would not be saved is refused when saving', async ({ folder, backend }) => {
  const model = smallVit(backend)
  const config = injectAdapter(model, loraConfig(), 1)
  setTrainable(model, true, (name) => name === 'positions')
  let said: unknown
  await saveAdapter(model, folder, config).catch((error) => {
    said = error
  })
  assert.instance(said, InputError)
  assert.is(
    (said as Error).message,
    'adapter: vit.embeddings.position_embeddings is trained but would not be saved; name its module in modulesToSave',
  )
  disposeModule(model)
})

check('an adapter goes on once only, and again after it was taken off', async ({ backend }) => {
  const model = await load(backend, 'checkpoints/vit')
  const adapter = await openAdapter(`${fixtures}adapters/vit-dora`)
  await applyAdapter(model, adapter)
  const [weights, live] = [await weightsOf(model), backend.memory().buffers]
  let said = ''
  await applyAdapter(model, adapter).catch((error: Error) => {
    said = error.message
  })
  assert.is(said, 'applyAdapter: the model already has an adapter; merge or remove it first')
  assert.equal([await weightsOf(model), backend.memory().buffers], [weights, live])
  removeAdapters(model)
  await applyAdapter(model, adapter)
  assert.equal(await weightsOf(model), weights)
  disposeModule(model)
})

// Hostile folders.

const lora = 'adapters/vit-lora'
const dora = 'adapters/vit-dora'
const hostile: [string, string, Change, RegExp][] = [
  [
    'another adapter type',
    lora,
    { config: { peft_type: 'LOHA' } },
    /^adapter_config\.json: peft_type must be "LORA", got "LOHA"$/,
  ],
  ['no adapter type', lora, { config: { peft_type: undefined } }, /peft_type must be "LORA", got undefined$/],
  [
    'PiSSA',
    lora,
    { config: { init_lora_weights: 'pissa' } },
    /init_lora_weights must be one that leaves the base weights alone \(save it in PEFT .* got "pissa"$/,
  ],
  [
    'a variant that computes otherwise',
    lora,
    { config: { use_qalora: true } },
    /use_qalora must be off \(this variant is not supported\), got true$/,
  ],
  ['transposed weights', lora, { config: { fan_in_fan_out: true } }, /fan_in_fan_out must be off/],
  ['other parameters', lora, { config: { target_parameters: ['x'] } }, /target_parameters must be off .* got \["x"\]$/],
  ['no targets', lora, { config: { target_modules: null } }, /target_modules must be given, got null$/],
  [
    'targets of numbers',
    lora,
    { config: { target_modules: [1] } },
    /target_modules must be a text or a list of texts, got \[1\]$/,
  ],
  ['a rank of no number', lora, { config: { r: '4' } }, /^adapter_config\.json: r must be a number, got "4"$/],
  ['a negative rank', lora, { config: { r: -4 } }, /^r: must be a whole number from 1 to 4096, got -4$/],
  ['no strength', lora, { config: { lora_alpha: 0 } }, /^alpha: must be a number above 0, got 0/],
  ['a strange bias mode', lora, { config: { bias: 7 } }, /^bias: must be one of none, all, lora_only, got 7$/],
  ['a flag of text', lora, { config: { use_dora: 'yes' } }, /use_dora must be true or false, got "yes"$/],
  [
    'a pattern of texts',
    lora,
    { config: { rank_pattern: { query: '2' } } },
    /rank_pattern must be an object of numbers/,
  ],
  [
    'a broken expression',
    lora,
    { config: { rank_pattern: { '(': 2 } } },
    /^rankPattern: must be a regular expression, got "\("$/,
  ],
  [
    'layers of text',
    lora,
    { config: { layers_to_transform: ['one'] } },
    /layers_to_transform must be a layer number or a list of them/,
  ],
  ['settings that are no JSON', lora, { config: '{"r": 4' }, /adapter_config\.json: must hold JSON, got /],
  ['settings that are a list', lora, { config: '[]' }, /adapter_config\.json: must hold a JSON object$/],
  [
    'no settings',
    lora,
    { drop: 'adapter_config.json' },
    /must have adapter_config\.json and adapter_model\.safetensors, got no adapter_config\.json$/,
  ],
  ['no weights', lora, { drop: 'adapter_model.safetensors' }, /got no adapter_model\.safetensors$/],
  [
    'weights cut short',
    lora,
    { cut: 5 },
    /adapter_model\.safetensors: tensor "base_model\S+" ends at byte .* 5 bytes are missing/,
  ],
  [
    'another rank',
    lora,
    { config: { r: 3 } },
    /adapter_config\.json gives vit\.encoder\S+query rank 3, but its weights have rank 4$/,
  ],
  [
    'DoRA without a magnitude',
    dora,
    { tensors: without(/layer\.1\S+value\.lora_magnitude/) },
    /layer\.1\.attention\.attention\.value has no lora_magnitude_vector, though adapter_config\.json asks for it$/,
  ],
  [
    'a magnitude without DoRA',
    dora,
    { config: { use_dora: false } },
    /query has a lora_magnitude_vector, though adapter_config\.json does not ask for it$/,
  ],
  [
    'no lora_A',
    lora,
    { tensors: without(/layer\.1\S+query\.lora_A/) },
    /layer\.1\.attention\.attention\.query has no lora_A, though/,
  ],
  [
    'no lora_B',
    lora,
    { tensors: without(/layer\.0\S+value\.lora_B/) },
    /layer\.0\.attention\.attention\.value has no lora_B, though/,
  ],
  [
    'a bias that was not asked for',
    'adapters/vit-lora-b-bias',
    { config: { lora_bias: false } },
    /has a lora_B\.bias, though/,
  ],
  [
    'a narrow lora_A',
    lora,
    { tensors: resized(/layer\.1\S+query\.lora_A/, [4, 31]) },
    /layer\.1\S+query\.lora_A\.weight must be \(4, 32\), got \(4, 31\)$/,
  ],
  [
    'a wide lora_B',
    lora,
    { tensors: resized(/layer\.1\S+query\.lora_B/, [33, 4]) },
    /lora_B\.weight must be \(32, 4\), got \(33, 4\)$/,
  ],
  [
    'a short magnitude',
    dora,
    { tensors: resized(/layer\.1\S+query\.lora_magnitude/, [31]) },
    /lora_magnitude_vector must be \(32\), got \(31\)$/,
  ],
  [
    'a classifier of other features',
    lora,
    { tensors: resized(/classifier\.weight/, [5, 31]) },
    /classifier\.weight must be \(5, 32\), got \(5, 31\)$/,
  ],
  [
    'a classifier whose bias does not fit',
    lora,
    { tensors: resized(/classifier\.weight/, [7, 32]) },
    /classifier\.bias must be \(7\), got \(5\)$/,
  ],
  [
    'layers that are not there',
    lora,
    { tensors: renamed('layer.1.', 'layer.2.') },
    /adapts vit\.encoder\.layer\.2\.attention\.attention\.query, vit\S+value, which this model does not have; is it for another model\?$/,
  ],
  [
    'another family',
    'adapters/deit-lora',
    {},
    /adapts vit\.deit\.encoder\S+, \S+, \S+ and 1 more, which this model does not have; is it for another model\?$/,
  ],
  [
    'saved modules that are not there',
    lora,
    { tensors: renamed('classifier', 'regressor') },
    /holds base_model\.model\.regressor\.bias, base_model\.model\.regressor\.weight, which this model does not have/,
  ],
  [
    'names of no PEFT model',
    lora,
    { tensors: renamed('base_model.model.', '') },
    /^adapter: tensor names must start with base_model\.model\., got classifier\.bias$/,
  ],
  ['no LoRA weights', lora, { tensors: without(/lora_/) }, /adapter_model\.safetensors holds no LoRA weights$/],
]

for (const [what, name, change, message] of hostile) {
  check(
    `an adapter with ${what} is refused in one sentence, and the model stays as it was`,
    async ({ folder, backend }) => {
      const model = await load(backend, 'checkpoints/vit')
      const [weights, live] = [await weightsOf(model), backend.memory().buffers]
      const classes = model.config.classes
      await rewrite(name, folder, change)
      let said: unknown
      await openAdapter(folder)
        .then((adapter) => applyAdapter(model, adapter))
        .catch((error) => {
          said = error
        })
      assert.instance(said, InputError)
      assert.match((said as Error).message, message)
      assert.equal(adaptedLayers(model), [])
      assert.is(model.config.classes, classes)
      assert.is(backend.memory().buffers, live)
      assert.equal(await weightsOf(model), weights)
      disposeModule(model)
    },
  )
}

check('a model whose adapter is refused leaves no memory behind', async ({ folder, backend }) => {
  await rewrite(lora, folder, { tensors: without(/layer\.1\S+query\.lora_A/) })
  for (const adapter of [folder, join(folder, 'nothing')]) {
    let said: unknown
    await openModel(backend, `${fixtures}checkpoints/vit`, { adapter }).catch((error) => {
      said = error
    })
    assert.instance(said, InputError)
    assert.is(backend.memory().buffers, 0)
  }
})

test.run()
