// LoRA and DoRA layers: what they match, what trains, what they cost, merging. Adapter files are in adapter-files.test.ts.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError } from 'vitune'
import {
  adaptedLayers,
  DoraAdapter,
  freezeBackbone,
  injectAdapter,
  isTarget,
  LoraAdapter,
  type LoraConfig,
  largestDifference,
  linearLayers,
  loraConfig,
  loraDefaults,
  merge,
  removeAdapters,
  strength,
} from 'vitune/adapters'
import { Vit } from 'vitune/models'
import {
  Context,
  countParameters,
  disposeModule,
  Linear,
  namedParameters,
  setTrainable,
  trainableParameters,
  zeros,
} from 'vitune/nn'
import {
  affine,
  createReference,
  dropout,
  linear,
  meanAll,
  parameter,
  Rng,
  scope,
  square,
  type Tensor,
  tensor,
  valueAndGrad,
} from 'vitune/tensor'
import { type FitState, readCheckpoint, writeCheckpoint } from 'vitune/train'
import { backends, checkTensors, counted, near, numbers, take } from './grad-check.ts'
import { load, logitsFor, pixels, smallVit, weightsOf } from './small-vit.ts'

/** Names of the linear layers of a ViT of two blocks. */
const names = [0, 1].flatMap((i) =>
  ['attention.attention.query', 'attention.attention.key', 'attention.attention.value', 'attention.output.dense']
    .concat(['intermediate.dense', 'output.dense'])
    .map((tail) => `vit.encoder.layer.${i}.${tail}`),
)
const matched = (partial: Partial<LoraConfig>) => {
  const config = loraConfig(partial)
  return [...names, 'classifier'].filter((name) => isTarget(config, name, name === 'classifier'))
}
const blocks = (tail: string) => names.filter((name) => name.endsWith(`.${tail}`))

const inputError = (message: RegExp) => (e: Error) => e instanceof InputError && message.test(e.message)

/** Gives every adapter parameter a value, as if it had been trained. */
function shake(model: Vit, seed = 5): void {
  const rng = new Rng(seed)
  for (const [path, p] of namedParameters(model)) {
    if (!/\.adapter\./.test(path)) continue
    const around = path.endsWith('magnitude') ? 1 : 0
    p.assign(Float32Array.from({ length: p.size }, () => around + 0.3 * rng.normal()))
  }
}

test('a list of targets names whole layers or their last parts', () => {
  assert.equal(matched({ targetModules: ['query', 'value'] }).sort(), [...blocks('query'), ...blocks('value')].sort())
  assert.equal(matched({ targetModules: ['attention.output.dense'] }), blocks('attention.output.dense'))
  assert.is(matched({ targetModules: ['dense'] }).length, 6)
  assert.equal(matched({ targetModules: [names[7]!] }), [names[7]])
  assert.equal(matched({ targetModules: ['uery', 'attention', 'vit'] }), [], 'parts of words and inner names are none')
})

test('a text of targets is a regular expression over the whole name', () => {
  assert.equal(matched({ targetModules: '.*\\.0\\..*(query|key)' }), names.slice(0, 2))
  assert.equal(matched({ targetModules: 'query' }), [])
  assert.equal(matched({ targetModules: '.*query|classifier' }), [...blocks('query'), 'classifier'])
  assert.throws(
    () => matched({ targetModules: '(' }),
    inputError(/^targetModules: must be a regular expression, got "\("$/),
  )
})

test('expressions mean what RegExp means by them, whole names only', () => {
  const texts = [
    '',
    'a',
    'b',
    'ab',
    'aab',
    'aaaa',
    'a.b',
    'a]b',
    'x{2}',
    'xx',
    'a-b',
    'a b',
    'a\nb',
    '9',
    ...names.slice(0, 3),
  ]
  const expressions =
    `a|b a* a+b (a|b)* (a+)+$ a?b? a{2} a{2,}b a{1,3}b? .* .*\\.(query|value) .*layer\\.(0|1|2)\\..* [ab]+
    [^a]* [a\\]]+b x\\{2\\} x{2} \\w+ \\d ^a$ a\\b.* (?!.*value).*attention.* (?=a)a+b (?:a|b){2} (?<n>a)b a[-.]b ()*a (a*)*b
    (a|)+b (?:) a||b [^]b []?b a]b (a{0}){5}b \\Ba a\\sb .*(?!b) (^a|b)+ a+?b (a*?)b a{0,2}b ((a|b)?){3}`.split(/\s+/)
  for (const targetModules of expressions) {
    for (const name of texts) {
      const got = isTarget(loraConfig({ targetModules }), name, false)
      assert.is(got, new RegExp(`^(?:${targetModules})$`).test(name), `${targetModules} on ${JSON.stringify(name)}`)
    }
  }
})

test('an expression that RegExp would take years for is answered at once, or refused in one sentence', () => {
  const word = 'a'.repeat(60)
  const begun = performance.now()
  for (const targetModules of [
    '(a+)+$',
    '(a|a)*',
    '(.*a){20}',
    '(a?){60}a{60}',
    `${'('.repeat(300)}a${')+'.repeat(300)}`,
  ]) {
    const config = loraConfig({ targetModules, rankPattern: { [targetModules]: 2 } })
    assert.is(isTarget(config, `${word}!`, false), false, targetModules)
    assert.is(strength(config, `${word}!`).r, 8)
    assert.is(isTarget(config, word, false), true, targetModules)
  }
  const refused: [string, RegExp][] = [
    ['((a{100}){100}){100}', /^targetModules: must be a regular expression that repeats less, got "\(\(a\{100/],
    ['((){1000000000}){1000000000}', /repeats less/],
    ['(a)\\1', /^targetModules: must be a regular expression without back-references and look-behind, got "\(a\)/],
    ['(?<=a)b', /without back-references and look-behind/],
    ['a'.repeat(1001), /^targetModules: must be a regular expression of at most 1000 characters, got "a{100}"$/],
  ]
  for (const [targetModules, message] of refused)
    assert.throws(() => isTarget(loraConfig({ targetModules }), word, false), inputError(message))
  assert.ok(performance.now() - begun < 5000, 'milliseconds, a RegExp needs centuries')
})

test('all-linear takes every layer but the classifier, and modules to save are never adapted', () => {
  assert.equal(matched({ targetModules: 'all-linear' }), names)
  assert.equal(matched({ targetModules: ['query', 'classifier'], modulesToSave: ['classifier'] }), blocks('query'))
})

test('excluded names are left out, by list or by expression', () => {
  assert.equal(matched({ targetModules: ['dense', 'query'], excludeModules: ['output.dense'] }), [
    names[0],
    names[4],
    names[6],
    names[10],
  ])
  assert.equal(matched({ targetModules: ['query'], excludeModules: '.*\\.0\\..*' }), [names[6]])
})

test('layers are chosen by number, and the pattern says where the number stands', () => {
  assert.equal(matched({ targetModules: ['query'], layersToTransform: 1 }), [names[6]])
  assert.equal(matched({ targetModules: ['query'], layersToTransform: [0, 1] }), blocks('query'))
  assert.equal(matched({ targetModules: ['query'], layersToTransform: [] }), blocks('query'))
  assert.equal(matched({ targetModules: ['query'], layersToTransform: [2] }), [])
  assert.equal(matched({ targetModules: ['query'], layersToTransform: 0, layersPattern: 'layer' }), [names[0]])
  assert.equal(matched({ targetModules: ['query'], layersToTransform: 0, layersPattern: ['blocks', 'layer'] }), [
    names[0],
  ])
  assert.equal(matched({ targetModules: ['query'], layersToTransform: 0, layersPattern: 'blocks' }), [])
  const needs = /^layersToTransform: needs targetModules as a list of names, got one string$/
  assert.throws(() => loraConfig({ targetModules: 'all-linear', layersToTransform: 1 }), needs)
})

test('rank and alpha follow their patterns, the scaling follows rsLoRA', () => {
  const config = loraConfig({
    r: 8,
    alpha: 16,
    rankPattern: { 'attention.query': 2, 'layer\\.1\\..*': 4 },
    alphaPattern: { value: 3, 'ttention.key': 5 },
  })
  const of = (name: string, c = config) => strength(c, `vit.encoder.layer.${name}`)
  assert.equal(of('0.attention.attention.query'), { r: 2, alpha: 16, scaling: 8 })
  assert.equal(of('1.attention.attention.query'), { r: 2, alpha: 16, scaling: 8 }, 'the first pattern wins')
  assert.equal(of('1.output.dense'), { r: 4, alpha: 16, scaling: 4 })
  assert.equal(of('0.attention.attention.value'), { r: 8, alpha: 3, scaling: 3 / 8 })
  assert.equal(of('0.attention.attention.key'), { r: 8, alpha: 16, scaling: 2 }, 'patterns start after a dot')
  assert.equal(of('0.output.dense', { ...config, useRslora: true }), { r: 8, alpha: 16, scaling: 16 / Math.sqrt(8) })
})

test('bad settings are refused by name', () => {
  const bad: [Record<string, unknown>, RegExp][] = [
    [{ r: 0 }, /^r: must be a whole number from 1 to 4096, got 0$/],
    [{ r: 2.5 }, /^r: .* got 2\.5$/],
    [{ r: '8' }, /^r: .* got "8"$/],
    [{ rankPattern: { query: -1 } }, /^rankPattern query: .* got -1$/],
    [{ alpha: 0 }, /^alpha: must be a number above 0, got 0/],
    [{ alpha: Number.NaN }, /^alpha: .* got NaN/],
    [{ alphaPattern: { query: Number.POSITIVE_INFINITY } }, /^alphaPattern query: .* got Infinity$/],
    [{ dropout: 1 }, /^dropout: must be in \[0, 1\), got 1$/],
    [{ bias: 'some' }, /^bias: must be one of none, all, lora_only, got some$/],
    [{ targetModules: [] }, /^targetModules: must name at least one layer, got none$/],
  ]
  for (const [partial, message] of bad) {
    assert.throws(() => loraConfig(partial as Partial<LoraConfig>), inputError(message), JSON.stringify(partial))
  }
})

test('names that no layer has are refused with those that there are', () => {
  const backend = createReference()
  const model = smallVit(backend)
  const live = backend.memory().buffers
  const inject = (partial: Partial<LoraConfig>) => injectAdapter(model, loraConfig(partial), 0)
  const says = (partial: Partial<LoraConfig>, message: RegExp) =>
    assert.throws(() => inject(partial), inputError(message), String(message))
  says(
    { targetModules: ['qkv'] },
    /^targets: no linear layer matches \["qkv"\]; layer names end in query, key, value, dense, classifier$/,
  )
  says({ targetModules: 'blocks.*' }, /^targets: no linear layer matches "blocks\.\*"; layer names end in query/)
  says(
    { targetModules: ['query', 'valeu', 'fc1'] },
    /^targets: no linear layer is called valeu, fc1; check the spelling$/,
  )
  says({ targetModules: ['query'], layersToTransform: 9 }, /^targets: no linear layer matches \["query"\]/)
  assert.is(backend.memory().buffers, live)
  inject({})
  assert.throws(() => inject({}), /^inject: the model already has adapters; merge or remove them first$/)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

const range = (count: number) => Array.from({ length: count }, (_, i) => String(i))

test('DINOv2-small trains 147,456 weights with LoRA, 156,672 with DoRA, and its classifier', () => {
  const backend = createReference()
  const small = smallVit(backend, { family: 'dinov2', pooling: 'cls+mean', layerScale: true })
  disposeModule(small)
  const size = { hidden: 384, heads: 6, layers: 12, mlpHidden: 1536, patchSize: 14 }
  const image = { imageSize: [518, 518] as [number, number], positionGrid: [37, 37] as [number, number] }
  const model = new Vit(backend, { ...small.config, ...size, ...image, classes: range(10) }, zeros)
  const head = 2 * 384 * 10 + 10
  const total = 22_056_192 + head
  assert.equal(countParameters(model), { total, trainable: total })
  freezeBackbone(model)
  assert.equal(countParameters(model), { total, trainable: head })
  injectAdapter(model, loraConfig(), 0)
  assert.equal(countParameters(model), { total: total + 147_456, trainable: 147_456 + head })
  removeAdapters(model)
  injectAdapter(model, loraConfig({ useDora: true }), 0)
  assert.equal(countParameters(model), { total: total + 156_672, trainable: 156_672 + head })
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('what trains beside the adapters follows the bias mode and the modules to save', () => {
  const backend = createReference()
  const trained = (partial: Partial<LoraConfig>) => {
    const model = smallVit(backend, { layers: 1 })
    injectAdapter(model, loraConfig({ targetModules: ['query'], ...partial }), 0)
    const found = trainableParameters(model).map(([path]) => path)
    disposeModule(model)
    return found.filter((path) => !/^head\.|\.lora[AB]$/.test(path))
  }
  const query = 'blocks.0.attention.query'
  assert.equal(trained({}), [])
  assert.equal(trained({ loraBias: true }), [`${query}.adapter.loraBias`])
  assert.equal(trained({ useDora: true }), [`${query}.adapter.magnitude`])
  assert.equal(trained({ bias: 'lora_only' }), [`${query}.bias`])
  const all = trained({ bias: 'all' })
  assert.ok(all.length > 9 && all.every((path) => path.endsWith('.bias')), all.join())
  assert.equal(trained({ modulesToSave: ['vit.layernorm'] }), ['norm.weight', 'norm.bias'])
  // The end of a name counts, wherever it begins, as in PEFT: 'norm' is 'vit.layernorm', and no part of 'layernorm_before'.
  assert.equal(trained({ modulesToSave: ['norm'] }), ['norm.weight', 'norm.bias'])
  const block = trained({ modulesToSave: ['r.0.output', 'intermediate'], targetModules: ['query'] })
  assert.equal(
    block.sort(),
    ['fc1', 'fc2'].flatMap((layer) => [`blocks.0.mlp.${layer}.bias`, `blocks.0.mlp.${layer}.weight`]),
  )
  assert.is(backend.memory().buffers, 0)
})

test('a fresh adapter changes nothing: LoRA not a bit, DoRA within rounding', async () => {
  for (const [, make] of backends) {
    const backend = await make()
    for (const name of ['checkpoints/vit', 'checkpoints/dinov2-swiglu', 'checkpoints/deit-distilled']) {
      for (const options of [{ loraBias: true }, { useDora: true }, { useDora: true, doraNormGradient: true }]) {
        const model = await load(backend, name)
        const images = pixels(2, 3, model.config.imageSize[0])
        const before = await logitsFor(model, images)
        injectAdapter(model, loraConfig({ targetModules: 'all-linear', ...options }), 1)
        near(
          await logitsFor(model, images),
          before,
          options.loraBias ? 1e-6 : 1e-5,
          `${name} ${JSON.stringify(options)}`,
        )
        shake(model)
        assert.ok((await logitsFor(model, images)).some((v, i) => Math.abs(v - before[i]!) > 1e-2))
        removeAdapters(model)
        assert.equal(await logitsFor(model, images), before, `${name} without its adapter`)
        disposeModule(model)
      }
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  }
})

test('lora_A starts as PEFT starts it, by seed, and lora_B at zero', async () => {
  const backend = createReference()
  const start = async (seed: number, initLoraWeights: LoraConfig['initLoraWeights']) => {
    const model = smallVit(backend, { hidden: 64, mlpHidden: 8 })
    injectAdapter(model, loraConfig({ initLoraWeights, r: 16 }), seed)
    const layers = adaptedLayers(model)
    const a = await Promise.all(
      layers.map(async ({ adapter }) => Array.from(await (adapter as LoraAdapter).loraA.data())),
    )
    for (const { adapter } of layers) assert.ok((await (adapter as LoraAdapter).loraB.data()).every((v) => v === 0))
    disposeModule(model)
    return a
  }
  const [first, second] = (await start(1, true)) as [number[], number[]]
  assert.equal(await start(1, true), [first, second, ...(await start(1, true)).slice(2)])
  assert.not.equal(first, second, 'each layer has its own')
  assert.not.equal((await start(2, true))[0], first)
  // Uniform up to 1 / sqrt(in), and normal with deviation 1 / r.
  const deviation = (values: number[]) => Math.sqrt(values.reduce((total, v) => total + v * v, 0) / values.length)
  const bound = 1 / Math.sqrt(64)
  assert.ok(Math.max(...first.map(Math.abs)) <= bound)
  near([deviation(first)], [bound / Math.sqrt(3)], 0.01, 'uniform')
  near([deviation((await start(1, 'gaussian'))[0]!)], [1 / 16], 0.005, 'gaussian')
  assert.is(backend.memory().buffers, 0)
})

/** Puts an adapter of these settings on a layer. */
function adapt(base: Linear, { r, scaling, ...settings }: Partial<LoraConfig> & { r: number; scaling: number }) {
  const adapting = { config: { ...loraDefaults, ...settings }, strength: { r, scaling } }
  const adapter = settings.useDora
    ? new DoraAdapter(base, adapting, new Rng(1))
    : new LoraAdapter(base, adapting, new Rng(1))
  base.adapter = adapter
  return { adapter, magnitude: adapter instanceof DoraAdapter ? adapter.magnitude : undefined }
}

/** W + s B A of a layer on the host, row by row. */
async function plainSum(layer: Linear): Promise<Float64Array[]> {
  const { loraA, loraB, options } = layer.adapter as LoraAdapter
  const [w, a, b] = await Promise.all([layer.weight.data(), loraA.data(), loraB.data()])
  const [r, { scaling }] = [loraA.shape[0]!, options]
  const { inFeatures, outFeatures } = layer
  return Array.from({ length: outFeatures }, (_, o) =>
    Float64Array.from({ length: inFeatures }, (_, i) => {
      let product = 0
      for (let k = 0; k < r; k++) product += b[o * r + k]! * a[k * inFeatures + i]!
      return w[o * inFeatures + i]! + scaling * product
    }),
  )
}

test('the row norm of DoRA, though never built from a whole matrix, is the plain one', async () => {
  for (const [name, make] of backends) {
    const backend = await make()
    const model = smallVit(backend)
    injectAdapter(model, loraConfig({ useDora: true, targetModules: 'all-linear', r: 5, alpha: 7 }), 1)
    shake(model)
    for (const { path, layer, adapter } of adaptedLayers(model)) {
      assert.instance(adapter, DoraAdapter)
      const dora = adapter as DoraAdapter
      dora.resetMagnitude(layer)
      const norms = (await plainSum(layer)).map((row) => Math.hypot(...row))
      near(await dora.magnitude.data(), norms, 1e-5, `${path} (${name})`)
    }
    disposeModule(model)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  }
})

test('DoRA over a weight row of zeros starts as the plain layer, trains, and merges', async () => {
  for (const [name, make] of backends) {
    for (const doraNormGradient of [false, true]) {
      const backend = await make()
      const weight = numbers({ shape: [4, 6] }, 1)
      weight.fill(0, 6, 12)
      const base = new Linear(parameter(backend, weight, [4, 6]), parameter(backend, numbers({ shape: [4] }, 2), [4]))
      const x = tensor(backend, numbers({ shape: [5, 6] }, 3), [5, 6])
      const want = (await take([scope(() => base.forward(x, new Context()))]))[0]!
      const { adapter, magnitude } = adapt(base, { r: 2, scaling: 2, useDora: true, doraNormGradient })
      const forward = () => base.forward(x, new Context())
      near((await take([scope(forward)]))[0]!, want, 1e-6, `as it starts (${name})`)
      const trained = [adapter.loraA, adapter.loraB, magnitude!]
      for (let step = 0; step < 3; step++) {
        const { value, grads } = valueAndGrad(() => meanAll(square(affine(forward(), 1, -1))), trained)
        for (const [i, p] of trained.entries()) {
          const [now, g] = await Promise.all([p.data(), grads[i]!.data()])
          assert.ok(g.every(Number.isFinite), `gradient ${i} of step ${step} (${name})`)
          p.assign(Float32Array.from(now, (v, k) => v - 0.05 * g[k]!))
        }
        for (const t of [value, ...grads]) t.dispose()
      }
      assert.ok(
        (await adapter.loraB.data()).slice(2, 4).every((v) => v !== 0),
        'lora_B of that row moves',
      )
      assert.ok(Math.abs((await magnitude!.data())[1]!) > 1e-4, 'and then its magnitude')
      const plain = scope(() => linear(x, adapter.mergedWeight(base), { bias: base.bias }))
      near((await take([scope(forward)]))[0]!, (await take([plain]))[0]!, 1e-5, `merged (${name})`)
      disposeModule(base)
      x.dispose()
      assert.is(backend.memory().buffers, 0)
      await backend.dispose()
    }
  }
})

test('a DoRA layer follows weights that were loaded after it', async () => {
  const backend = createReference()
  const model = smallVit(backend)
  injectAdapter(model, loraConfig({ useDora: true }), 1)
  const { layer, adapter } = adaptedLayers(model)[0]!
  const dora = adapter as DoraAdapter
  layer.weight.assign(numbers({ shape: layer.weight.shape }, 8))
  dora.resetMagnitude(layer)
  near(
    await dora.magnitude.data(),
    (await plainSum(layer)).map((row) => Math.hypot(...row)),
    1e-6,
    'magnitude',
  )
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('neither LoRA nor DoRA makes a tensor of the size of a weight, forward or backward', async () => {
  for (const options of [
    {},
    { useDora: true },
    { useDora: true, doraNormGradient: true },
    { useDora: true, dropout: 0.1 },
  ]) {
    const watch = counted(createReference())
    const model = smallVit(watch.backend, {
      hidden: 40,
      mlpHidden: 24,
      heads: 2,
      imageSize: [4, 4],
      positionGrid: [1, 1],
    })
    injectAdapter(model, loraConfig({ targetModules: ['query', 'intermediate.dense'], r: 2, ...options }), 1)
    shake(model)
    const seed = tensor(watch.backend, Int32Array.of(1, 1), [2])
    watch.reset()
    const { value, grads } = valueAndGrad(
      () =>
        meanAll(square(model.forward(tensor(watch.backend, pixels(1, 1, 4), [1, 3, 4, 4]), new Context(true, seed)))),
      trainableParameters(model).map(([, p]) => p),
    )
    for (const size of [40 * 40, 24 * 40]) assert.not.ok(watch.allocated.includes(size), JSON.stringify(options))
    assert.ok(watch.allocated.includes(2 * 40), 'gradients of lora_A are there')
    for (const t of [value, ...grads, seed]) t.dispose()
    disposeModule(model)
    assert.is(watch.backend.memory().buffers, 0)
  }
})

test('gradients of every kind of adapted layer equal central differences', async () => {
  const backend = createReference({ precision: 'f64' })
  const fixed = (shape: number[], seed: number) => tensor(backend, numbers({ shape }, seed), shape)
  const learnt = (shape: number[], seed: number) => parameter(backend, numbers({ shape }, seed), shape)
  const [x, scale, residual] = [fixed([2, 3], 1), fixed([4], 2), fixed([2, 4], 3)]
  const seed = tensor(backend, Int32Array.of(3, 4), [2])
  for (const useDora of [false, true]) {
    for (const loraBias of [false, true]) {
      for (const dropout of [0, 0.3]) {
        const base = new Linear(learnt([4, 3], 4), learnt([4], 5))
        // The norm's gradient is let through: detached, it is not the gradient of what forward computes.
        const options = { r: 2, scaling: 0.7, dropout, useDora, doraNormGradient: true, loraBias }
        const { adapter, magnitude } = adapt(base, options)
        const trained = [adapter.loraA, adapter.loraB, adapter.loraBias, magnitude].filter((p) => p !== undefined)
        for (const [i, p] of trained.entries()) p.assign(numbers({ shape: p.shape }, 6 + i))
        for (const forward of [
          {},
          { act: 'gelu' as const },
          { colScale: scale, residual },
          { act: 'gelu' as const, colScale: scale },
        ]) {
          const what = JSON.stringify({ useDora, loraBias, dropout, with: Object.keys(forward) })
          await checkTensors(what, () => base.forward(x, new Context(true, seed), forward), [x, ...trained])
        }
        disposeModule(base)
      }
    }
  }
  for (const t of [x, scale, residual, seed]) t.dispose()
  assert.is(backend.memory().buffers, 0)
})

test('in training LoRA drops inputs of its own branch only, DoRA as PEFT does', async () => {
  const backend = createReference({ precision: 'f64' })
  const learnt = (shape: number[], seed: number) => parameter(backend, numbers({ shape }, seed), shape)
  const seed = tensor(backend, Int32Array.of(3, 4), [2])
  const x = tensor(backend, numbers({ shape: [5, 8] }, 1), [5, 8])
  for (const useDora of [false, true]) {
    const base = new Linear(learnt([4, 8], 4), learnt([4], 5))
    const { adapter, magnitude } = adapt(base, { r: 2, scaling: 0.7, dropout: 0.5, useDora })
    adapter.loraB.assign(numbers({ shape: [4, 2] }, 6))
    magnitude?.assign(numbers({ shape: [4] }, 7))
    // PEFT: W x + b + s B A x', and with DoRA W x + b + (c - 1) W x' + c s B A x', where c = m / |W + s B A|.
    const [plain, dropped] = await take([x.alias(), scope(() => dropout(x, 0.5, seed, 0))])
    const [w, sum] = [await base.weight.data(), await plainSum(base)]
    const [b, m] = [await base.bias!.data(), await magnitude?.data()]
    const rows = (data: ArrayLike<number>, i: number) => Array.from({ length: 8 }, (_, c) => data[i * 8 + c]!)
    const dot = (p: ArrayLike<number>, q: readonly number[]) => q.reduce((total, v, i) => total + v * p[i]!, 0)
    const want = Array.from({ length: 20 }, (_, at) => {
      const [i, o] = [Math.floor(at / 4), at % 4]
      const [input, kept, weight] = [rows(plain!, i), rows(dropped!, i), rows(w, o)]
      const c = m ? m[o]! / Math.hypot(...sum[o]!) : 1
      return dot(weight, input) + b[o]! + c * dot(sum[o]!, kept) - dot(weight, kept)
    })
    assert.ok(Array.from(dropped!).includes(0))
    near((await take([scope(() => base.forward(x, new Context(true, seed)))]))[0]!, want, 1e-6, `DoRA ${useDora}`)
    disposeModule(base)
  }
  x.dispose()
  seed.dispose()
  assert.is(backend.memory().buffers, 0)
})

for (const [name, make] of backends) {
  test(`merging keeps the logits, unmerging brings back every bit (${name})`, async () => {
    const backend = await make()
    for (const options of [{}, { useDora: true }, { useDora: true, useRslora: true, bias: 'all' as const }]) {
      const model = smallVit(backend, { layerScale: true })
      injectAdapter(model, loraConfig({ targetModules: 'all-linear', r: 3, ...options }), 1)
      shake(model)
      const images = tensor(backend, pixels(2), [2, 3, 8, 8])
      const forward = () => scope(() => model.forward(images))
      const [weights, adapted] = [await weightsOf(model), forward()]
      const { total } = countParameters(model)

      const merged = merge(model)
      assert.is(merged.layers, 6 * 3)
      assert.is(adaptedLayers(model).length, 0)
      assert.ok(countParameters(model).total < total)
      const plain = forward()
      const difference = await largestDifference(adapted, plain)
      assert.ok(difference > 0 && difference < 1e-4, `difference ${difference}`)
      const [x, y] = [await adapted.data(), await plain.data()]
      assert.is(difference, Math.max(...Array.from(x, (v, i) => Math.abs(v - y[i]!))))
      merged.unmerge()
      assert.equal(await weightsOf(model), weights)
      const again = forward()
      assert.is(await largestDifference(adapted, again), 0)
      assert.throws(() => merged.unmerge(), /^merge: this merge was already undone or sealed$/)
      assert.throws(() => merged.seal(), /^merge: this merge was already undone or sealed$/)

      // Sealed, it is a plain model that can be adapted anew.
      const live = backend.memory().buffers
      merge(model).seal()
      assert.ok(backend.memory().buffers < live)
      const sealed = forward()
      assert.is(await largestDifference(plain, sealed), 0)
      injectAdapter(model, loraConfig(), 1)
      const anew = forward()
      assert.is(await largestDifference(plain, anew), 0)
      for (const t of [images, adapted, plain, again, sealed, anew]) t.dispose()
      disposeModule(model)
      assert.is(backend.memory().buffers, 0)
    }
    await backend.dispose()
  })
}

test('the merged weight is W + s B A, its rows scaled to the magnitude by DoRA', async () => {
  const backend = createReference({ precision: 'f64' })
  for (const useDora of [false, true]) {
    const model = smallVit(backend)
    injectAdapter(model, loraConfig({ useDora, r: 3, alpha: 5 }), 1)
    shake(model)
    for (const { layer, adapter } of adaptedLayers(model)) {
      const sum = await plainSum(layer)
      const magnitude = adapter instanceof DoraAdapter ? await adapter.magnitude.data() : undefined
      const want = sum.flatMap((row, o) =>
        Array.from(row, (v) => (magnitude ? (v * magnitude[o]!) / Math.hypot(...row) : v)),
      )
      near((await take([scope(() => adapter.mergedWeight(layer))]))[0]!, want, 1e-9, 'merged')
    }
    disposeModule(model)
  }
  assert.is(backend.memory().buffers, 0)
})

test('an adapter with a bias of its own is not merged, and stays as it was', async () => {
  const backend = createReference()
  const model = smallVit(backend)
  injectAdapter(model, loraConfig({ loraBias: true }), 1)
  const live = backend.memory().buffers
  assert.throws(
    () => merge(model),
    /^merge: an adapter with lora_bias cannot be merged; predict with the adapter in place$/,
  )
  assert.is(adaptedLayers(model).length, 6)
  assert.is(backend.memory().buffers, live)
  disposeModule(model)
})

test('a training state of an earlier version, with adapters in the place of layers, finds their parameters', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vitune-state-'))
  const backend = createReference()
  const path = join(folder, 'checkpoint.safetensors')
  const at = 'blocks.0.attention.query'
  const names = [`weight.${at}.loraA`, `weight.${at}.bias`, `optimizer.${at}.magnitude.m`, `weight.${at}.adapter.loraB`]
  const saved = names.map((name, i): [string, Tensor] => [name, tensor(backend, Float32Array.of(i), [1])])
  const numbers = { step: 1, epoch: 1, batch: 0, optimizerSteps: 1 } as FitState['numbers']
  await writeCheckpoint(path, { numbers, tensors: saved })
  const read = new Map((await readCheckpoint(backend, path)).tensors)
  const found = [`${at}.adapter.loraA`, `${at}.bias`, `${at}.adapter.magnitude.m`, `${at}.adapter.loraB`]
  assert.equal([...read.keys()].map((name) => name.slice(name.indexOf('.') + 1)).sort(), [...found].sort())
  assert.equal(Array.from(await read.get(`weight.${at}.adapter.loraA`)!.data()), [0])
  for (const [, t] of [...saved, ...read]) t.dispose()
  assert.is(backend.memory().buffers, 0)
  rmSync(folder, { recursive: true })
})

test('linear layers are listed under the names of their checkpoint', () => {
  const backend = createReference()
  const model = smallVit(backend, { layers: 2 })
  assert.equal(
    linearLayers(model).map((l) => l.name),
    [...names, 'classifier'],
  )
  setTrainable(model, true)
  disposeModule(model)
})

test.run()
