// Packed weights in layers and models: products, gradients, adapters and merging on them are those of the weight they stand for.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { injectAdapter, loraConfig, merge } from 'vitune/adapters'
import { quantizeModel, type Vit } from 'vitune/models'
import {
  Context,
  countParameters,
  disposeModule,
  Linear,
  namedModules,
  namedWeights,
  trainableParameters,
} from 'vitune/nn'
import {
  type Backend,
  createReference,
  createWasm,
  linear,
  mul,
  Packed,
  type Packing,
  Rng,
  scope,
  sum,
  tensor,
  unpack,
  valueAndGrad,
} from 'vitune/tensor'
import { logitsFor, pixels, smallVit } from './small-vit.ts'

const packings: Packing[] = [
  { format: 'nf4' },
  { format: 'nf4', double: false, block: 32 },
  { format: 'int8-block', block: 32 },
  { format: 'int8', integerGradient: false },
  { format: 'int8' },
]
const nameOf = ({ format, double, integerGradient }: Packing) =>
  [format, double === false ? 'plain maxima' : '', integerGradient === false ? 'forward' : '']
    .filter(Boolean)
    .join(', ')

const backends: [string, () => Promise<Backend>][] = [
  ['reference', async () => createReference()],
  ['wasm', () => createWasm({ threads: 2 })],
]

/** The largest difference as a part of the largest value. */
async function distance(a: ArrayLike<number>, b: ArrayLike<number>): Promise<number> {
  let [most, off] = [0, 0]
  for (let i = 0; i < a.length; i++) {
    most = Math.max(most, Math.abs(b[i]!))
    off = Math.max(off, Math.abs(a[i]! - b[i]!))
  }
  return off / most
}

const [rows, inputs, outputs] = [7, 40, 18]
const normal = (count: number, seed: number) => {
  const rng = new Rng(seed)
  return Float32Array.from({ length: count }, () => rng.normal())
}

for (const [backendName, start] of backends) {
  for (const packing of packings) {
    test(`a product with a packed weight and its gradient are those of its numbers: ${nameOf(packing)}, ${backendName}`, async () => {
      const backend = await start()
      const packed = new Packed(backend, [outputs, inputs], packing)
      packed.assign(normal(outputs * inputs, 1))
      const x = tensor(backend, normal(rows * inputs, 2), [rows, inputs])
      const bias = tensor(backend, normal(outputs, 3), [outputs])
      const colScale = tensor(backend, normal(outputs, 4), [outputs])
      const residual = tensor(backend, normal(rows * outputs, 5), [rows, outputs])
      const w = unpack(packed)
      assert.equal(await w.data(), await packed.data(), 'the kernel and the host unpack alike')
      const weights = tensor(backend, normal(rows * outputs, 6), [rows, outputs])
      const run = async (weight: Packed | typeof w, act: 'none' | 'gelu') => {
        const made = valueAndGrad(() => {
          const y = linear(x, weight, { bias, colScale, residual, act })
          return [sum(sum(mul(y, weights), -1), -1), { y }]
        }, [x, residual])
        made.value.dispose()
        return [made.aux.y, ...made.grads]
      }
      for (const act of ['none', 'gelu'] as const) {
        const [got, wanted] = [await run(packed, act), await run(w, act)]
        // Rows in 8 bits are off by 1 / 254 of their largest number at most, at random.
        const [forward, back] =
          packing.format !== 'int8'
            ? [1e-5, 1e-5]
            : packing.integerGradient === false
              ? [0.01, act === 'gelu' ? 0.03 : 1e-5]
              : [0.01, 0.03]
        for (const [i, t] of got.entries()) {
          const off = await distance(await t.data(), await wanted[i]!.data())
          assert.ok(off <= (i === 0 ? forward : back), `${act} ${i}: off by ${off}`)
          if (packing.format === 'int8' && i === 0) assert.ok(off > 0, 'it was not multiplied as integers')
        }
        for (const t of [...got, ...wanted]) t.dispose()
      }
      for (const t of [packed, x, bias, colScale, residual, w, weights]) t.dispose()
      assert.is(backend.memory().buffers, 0)
      await backend.dispose()
    })
  }
}

/** The model with each packed weight as the f32 numbers that it stands for. */
async function unpackedTwin(backend: Backend, packed: Vit): Promise<Vit> {
  const twin = smallVit(backend)
  const weights = new Map(namedWeights(packed))
  for (const [name, p] of namedWeights(twin)) p.assign(await weights.get(name)!.data())
  return twin
}

for (const packing of packings) {
  for (const useDora of [false, true]) {
    test(`${useDora ? 'DoRA' : 'LoRA'} on packed weights is that on their numbers: ${nameOf(packing)}`, async () => {
      const backend = createReference()
      const model = smallVit(backend)
      const { total } = countParameters(model)
      const error = await quantizeModel(model, packing)
      assert.is(error.layers, 3 * 6)
      assert.ok(error.relative > 0 && error.relative < 0.15, String(error.relative))
      assert.is(countParameters(model).total, total, 'packed weights are counted')
      const twin = await unpackedTwin(backend, model)
      const config = loraConfig({
        r: 2,
        useDora,
        targetModules: ['query', 'intermediate.dense'],
        initLoraWeights: false,
      })
      for (const one of [model, twin]) injectAdapter(one, config, 7)
      const images = pixels(4)
      const [got, wanted] = [await logitsFor(model, images), await logitsFor(twin, images)]
      const loose = packing.format === 'int8' ? 0.03 : 2e-5
      assert.ok((await distance(got, wanted)) < loose, `off by ${await distance(got, wanted)}`)
      // Merged weights are f32, so nothing is rounded there any more.
      const whole = await logitsFor(twin, images)
      const merged = merge(model)
      assert.ok((await distance(await logitsFor(model, images), whole)) < (packing.format === 'int8' ? 0.03 : 2e-5))
      merged.unmerge()
      assert.equal(await logitsFor(model, images), got, 'unmerged')
      for (const one of [model, twin]) disposeModule(one)
      assert.is(backend.memory().buffers, 0)
    })
  }
}

test('modules that are skipped stay f32, and a name that is none is told', async () => {
  const backend = createReference()
  const model = smallVit(backend)
  await quantizeModel(model, { format: 'nf4', skip: ['query', 'vit.encoder.layer.1', 'classifier'] })
  const isPacked = [...namedModules(model)].flatMap(([path, m]) =>
    m instanceof Linear ? [[path, m.weight instanceof Packed] as const] : [],
  )
  for (const [path, packed] of isPacked) {
    assert.is(packed, /^blocks\.[02]\..*(key|value|output|fc)/.test(path), path)
  }
  const why = await quantizeModel(model, { format: 'nf4', skip: ['qery'] }).catch((error: Error) => error.message)
  assert.match(String(why), /quantizeSkip: no layer that would be packed is called qery; their names end in /)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('a packed weight trains nothing, and what is recomputed gives the same gradients', async () => {
  const backend = createReference()
  const model = smallVit(backend)
  await quantizeModel(model, { format: 'int8' })
  injectAdapter(model, loraConfig({ r: 2, initLoraWeights: false }), 7)
  const params = trainableParameters(model).map(([, p]) => p)
  assert.ok(trainableParameters(model).every(([name]) => /adapter|head/.test(name)))
  const images = tensor(backend, pixels(2), [2, 3, 8, 8])
  const run = async (checkpointing: boolean) => {
    const { grads, value } = valueAndGrad(
      () => scope(() => sum(sum(model.forward(images, new Context(true), { checkpoint: checkpointing }), -1), -1)),
      params,
    )
    const all = [await value.data(), ...(await Promise.all(grads.map((g) => g.data())))]
    for (const t of [value, ...grads]) t.dispose()
    return all
  }
  assert.equal(await run(true), await run(false))
  images.dispose()
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test.run()
