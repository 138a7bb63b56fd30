// Which layers a configuration adapts and saves, against what PEFT does; what it may not hold; how adapters start.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError } from 'vitune'
import {
  adaptedLayers,
  injectAdapter,
  isSaved,
  isTarget,
  type LoraAdapter,
  type LoraConfig,
  linearLayers,
  loraConfig,
  strength,
} from 'vitune/adapters'
import { huggingFaceName } from 'vitune/models'
import { disposeModule, namedParameters, trainableParameters } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { json, logitsFor, pixels, smallVit } from './small-vit.ts'

interface Case {
  settings: Record<string, unknown>
  refused?: string
  adapted?: Record<string, [number, number]>
  saved?: string[]
}

const ours: Record<string, keyof LoraConfig> = {
  target_modules: 'targetModules',
  exclude_modules: 'excludeModules',
  modules_to_save: 'modulesToSave',
  layers_to_transform: 'layersToTransform',
  layers_pattern: 'layersPattern',
  rank_pattern: 'rankPattern',
  alpha_pattern: 'alphaPattern',
  use_rslora: 'useRslora',
  use_dora: 'useDora',
  lora_bias: 'loraBias',
  init_lora_weights: 'initLoraWeights',
}
const configOf = (settings: Case['settings']) =>
  loraConfig(Object.fromEntries(Object.entries(settings).map(([key, value]) => [ours[key]!, value])))

const refusal = (act: () => unknown): string => {
  try {
    act()
  } catch (error) {
    assert.instance(error, InputError)
    return (error as Error).message
  }
  return ''
}

test('layers are adapted at the rank and scaling, and modules saved, that PEFT adapts and saves', () => {
  const backend = createReference()
  const model = smallVit(backend, { layers: 12 })
  const layers = linearLayers(model)
  const parameters = [...namedParameters(model)].map(([path]) => huggingFaceName(path, model.config))
  for (const { settings, refused, adapted, saved } of json('matching/values.json').cases as Case[]) {
    const what = JSON.stringify(settings)
    if (refused) {
      assert.ok(
        refusal(() => injectAdapter(model, configOf(settings), 1)),
        `${what} is refused`,
      )
      continue
    }
    const config = configOf(settings)
    const found = layers
      .filter(({ name, path }) => isTarget(config, name, path === 'head'))
      .map(({ name }) => {
        const { r, scaling } = strength(config, name)
        return [name, [r, scaling]] as const
      })
      .sort(([a], [b]) => (a < b ? -1 : 1))
    assert.equal(Object.fromEntries(found), adapted, what)
    assert.equal(parameters.filter((name) => isSaved(config, name)).sort(), saved, what)
  }
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('a configuration that cannot be meant is refused by name before the model changes', () => {
  const backend = createReference()
  const model = smallVit(backend)
  const live = backend.memory().buffers
  const cases: [Record<string, unknown>, RegExp][] = [
    [
      { targetModules: ['query', 'classifier'] },
      /^targets: \["query","classifier"\] takes in the classifier, which trains whole .*--modules-to-save classifier\)$/,
    ],
    [{ targetModules: '.*' }, /^targets: "\.\*" takes in the classifier/],
    [{ targetModules: '.*(value|classifier)' }, /takes in the classifier/],
    [{ modulesToSave: ['score'] }, /^modulesToSave: no module's name ends in score; check the spelling$/],
    [{ modulesToSave: ['position_embeddings'] }, /^modulesToSave: no module's name ends in position_embeddings/],
    [
      { modulesToSave: ['layer'] },
      /^modulesToSave: layer is the list of all blocks, which PEFT cannot save; name vit\.encoder$/,
    ],
    [{ excludeModules: ['fc1'] }, /^excludeModules: no linear layer is called fc1; check the spelling$/],
    [{ layersToTransform: [0, 3] }, /^layersToTransform: no layer of 0 to 2 is 3; check the spelling$/],
    [{ rankPattern: { key: 2 } }, /^rankPattern and alphaPattern: no adapted layer matches key; check the spelling$/],
    [{ alphaPattern: { '.*fc\\d': 2 } }, /no adapted layer matches \.\*fc\\d/],
    [{ targetModules: 7 }, /^targetModules: must be names, or one regular expression over .*, got 7$/],
    [{ targetModules: ['query', 7] }, /^targetModules: must be names, or .*, got \["query",7\]$/],
    [{ modulesToSave: 'classifier' }, /^modulesToSave: must be a list of names, got classifier$/],
    [{ modulesToSave: [''] }, /^modulesToSave: must be a list of names, got \[""\]$/],
    [{ rankPattern: [2] }, /^rankPattern: must be ranks by pattern, got \[2\]$/],
    [
      { layersToTransform: ['0'] },
      /^layersToTransform: must be a whole number from 0, or a list of them, got \["0"\]$/,
    ],
    [{ useDora: 'yes' }, /^useDora: must be true or false, got yes$/],
    [{ dropout: '0.1' }, /^dropout: must be in \[0, 1\), got "0\.1"$/],
    [
      { initLoraWeights: 'pissa' },
      /^initLoraWeights: must be true or false, or one of gaussian, orthogonal, eva, mica, got pissa$/,
    ],
    [
      { initLoraWeights: 'eva' },
      /^initLoraWeights: eva starts from the data's activations; begin such an adapter in PEFT and go on with it$/,
    ],
    [{ initLoraWeights: 'orthogonal', r: 3 }, /^initLoraWeights: orthogonal needs an even rank, got 3$/],
    [{ rnak: 3 }, /^rnak: is no option here; take it out$/],
    [{ lora_alpha: 3 }, /^lora_alpha: is no option here; did you mean alpha\?$/],
    [{ loraBias: true, useDora: true }, /^loraBias: does not go with DoRA, as in PEFT/],
  ]
  for (const [partial, message] of cases) {
    const said = refusal(() => injectAdapter(model, loraConfig(partial as Partial<LoraConfig>), 1))
    assert.match(said, message, JSON.stringify(partial))
    assert.ok(said.length <= 300)
    assert.is(backend.memory().buffers, live, JSON.stringify(partial))
  }
  // PEFT's rule: what is saved whole is no target, so this says nothing wrong.
  injectAdapter(model, loraConfig({ targetModules: ['query', 'classifier'], modulesToSave: ['classifier'] }), 1)
  assert.is(adaptedLayers(model).length, 3)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('any number of patterns and names is matched or refused in a moment', () => {
  const names = smallNames()
  const many = (count: number, text: (i: number) => string) => Array.from({ length: count }, (_, i) => text(i))
  const patterns = (count: number, text: (i: number) => string) =>
    Object.fromEntries(many(count, text).map((t) => [t, 2]))
  const hostile = (i: number) => `(?:.{0,40}){0,40}${i}`
  const cases: [Partial<LoraConfig>, RegExp][] = [
    [
      { rankPattern: patterns(100, hostile) },
      /^rankPattern: must be fewer or simpler regular expressions: all together these take too long/,
    ],
    [{ alphaPattern: patterns(9000, (i) => `(a|b)*${i}`) }, /^alphaPattern: must be fewer or simpler/],
    [{ rankPattern: patterns(500, (i) => `(?=(?:.{0,40}){0,40}z)|${i}`) }, /^rankPattern: must be fewer or simpler/],
    [{ layersToTransform: 0, layersPattern: many(9000, hostile) }, /^layersPattern: must be fewer or simpler/],
    [{ modulesToSave: many(2000, hostile) }, /^modulesToSave: must be fewer or simpler/],
    [
      { rankPattern: patterns(100_000, (i) => `n${i}`) },
      /^rankPattern: may hold 10000 entries, got 100000; no model has so many$/,
    ],
    [{ modulesToSave: many(1_000_000, (i) => `n${i}`) }, /^modulesToSave: may hold 10000 entries, got 1000000/],
    [{ targetModules: many(100_000, (i) => `n${i}`) }, /^targetModules: may hold 10000 entries/],
    [{ excludeModules: many(100_000, (i) => `n${i}`) }, /^excludeModules: may hold 10000 entries/],
    [{ layersToTransform: many(100_000, String).map(Number) }, /^layersToTransform: may hold 10000 entries/],
    [{ modulesToSave: ['n'.repeat(5000)] }, /^modulesToSave: must be names of at most 1000 characters, got "n+/],
  ]
  for (const [partial, message] of cases) {
    const begun = performance.now()
    const said = refusal(() => {
      const config = loraConfig(partial)
      for (const name of names) if (isTarget(config, name, false)) strength(config, name)
    })
    assert.match(said, message)
    assert.ok(
      performance.now() - begun < 4000,
      `${message} took ${performance.now() - begun} ms; on a busy machine, too`,
    )
  }
  // Plain names cost next to nothing, and the first that matches counts.
  const config = loraConfig({ rankPattern: { ...patterns(9000, (i) => `n${i}`), 'attention.quer.': 3, query: 4 } })
  assert.is(strength(config, names[0]!).r, 3)
})

function smallNames(): string[] {
  const backend = createReference()
  const model = smallVit(backend, { layers: 12 })
  const names = linearLayers(model).map((l) => l.name)
  disposeModule(model)
  return names
}

test('an adapter that starts at random changes the outputs, an orthogonal one does not though both its parts are there', async () => {
  const backend = createReference()
  const base = smallVit(backend)
  const images = pixels(2)
  const before = await logitsFor(base, images)
  disposeModule(base)
  const differences: number[] = []
  for (const initLoraWeights of [false, 'orthogonal'] as const) {
    const model = smallVit(backend)
    injectAdapter(model, loraConfig({ initLoraWeights, r: 4, loraBias: initLoraWeights === false }), 1)
    const adapter = adaptedLayers(model)[0]!.adapter as LoraAdapter
    const [a, b] = await Promise.all([adapter.loraA.data(), adapter.loraB.data()])
    assert.ok([...a, ...b].every((v) => v !== 0))
    if (initLoraWeights === false) {
      // torch's Linear: uniform up to 1 / sqrt of what goes in.
      assert.ok(Math.max(...a.map(Math.abs)) <= 1 / 4 && Math.max(...b.map(Math.abs)) <= 1 / 2)
      assert.ok(Math.max(...b.map(Math.abs)) > 0.4)
      assert.ok((await adapter.loraBias!.data()).every((v) => v !== 0 && Math.abs(v) <= 1 / 2))
    }
    const after = await logitsFor(model, images)
    differences.push(Math.max(...after.map((v, i) => Math.abs(v - before[i]!))))
    disposeModule(model)
  }
  assert.ok(differences[0]! > 1e-2, `false: ${differences[0]}`)
  assert.ok(differences[1]! < 1e-5, `orthogonal: ${differences[1]}`)
  assert.is(backend.memory().buffers, 0)
})

test('memory that ends while adapters are made leaves the model as it was', () => {
  const backend = createReference()
  const model = smallVit(backend)
  const live = backend.memory().buffers
  const { alloc } = backend
  let left = 7
  backend.alloc = (...args) => {
    if (left-- === 0) throw new Error('full')
    return alloc.apply(backend, args)
  }
  assert.throws(() => injectAdapter(model, loraConfig({ useDora: true }), 1), /^full$/)
  backend.alloc = alloc
  assert.equal([adaptedLayers(model).length, backend.memory().buffers], [0, live])
  assert.is(trainableParameters(model).length, [...namedParameters(model)].length)
  disposeModule(model)
})

test.run()
