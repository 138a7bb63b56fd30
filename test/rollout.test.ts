// Attention rollout: hand-checked cases, the definition in plain loops, adapters in place, and the map of one picture.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { explain } from 'vitune'
import { injectAdapter, loraConfig } from 'vitune/adapters'
import { attentionRollout, patchesOf, type Vit, type VitConfig } from 'vitune/models'
import { Context, disposeModule, namedParameters } from 'vitune/nn'
import { type Backend, createWasm, scope, type Tensor, tensor } from 'vitune/tensor'
import { near } from './grad-check.ts'
import { check, pixels, smallVit } from './small-vit.ts'

const images = (model: Vit, count = 2) => tensor(model.backend, pixels(count), [count, 3, 8, 8])

async function valuesOf(make: () => Tensor): Promise<Float32Array> {
  const t = scope(make)
  const values = (await t.data()) as Float32Array
  t.dispose()
  return values
}

/** The paper's own order: the product of all (A + I) / 2 as matrices, then the rows that the classifier reads. */
async function byMatrices(model: Vit, rows: number[]): Promise<Float64Array> {
  const attention: Float32Array[] = []
  const ctx = new Context()
  let x = scope(() => model.embed(images(model), ctx))
  for (const block of model.blocks) {
    attention.push(await valuesOf(() => block.attention.weights(block.norm1.forward(x), ctx)))
    const before = x
    x = scope(() => block.forward(before, ctx))
    before.dispose()
  }
  const n = x.shape[1]!
  x.dispose()
  const out = new Float64Array(2 * n)
  for (let b = 0; b < 2; b++) {
    let product = Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0))
    for (const a of attention) {
      const next = new Float64Array(n * n)
      for (let i = 0; i < n; i++)
        for (let k = 0; k < n; k++)
          for (let j = 0; j < n; j++)
            next[i * n + j]! += 0.5 * (a[(b * n + i) * n + k]! + (i === k ? 1 : 0)) * product[k * n + j]!
      product = next
    }
    for (const i of rows) for (let j = 0; j < n; j++) out[b * n + j]! += product[i * n + j]! / rows.length
  }
  return out
}

check(
  'with equal attention everywhere a token keeps 1/2 of itself a layer and shares the rest',
  async ({ backend }) => {
    const model = smallVit(backend)
    // Queries of zero: every score is 0, every weight 1/5.
    for (const [name, p] of namedParameters(model)) if (name.includes('query')) p.assign(new Float32Array(p.size))
    const got = await valuesOf(() => attentionRollout(model, images(model, 1)))
    const shared = (1 - 1 / 8) / 5
    near(got, [1 / 8 + shared, shared, shared, shared, shared], 1e-6, 'three layers, five tokens')
    disposeModule(model)
  },
)

const kinds: [string, Partial<VitConfig>, number[]][] = [
  ['class token', {}, [0]],
  ['mean of the patches', { pooling: 'mean' }, [1, 2, 3, 4]],
  ['class token and mean', { pooling: 'cls+mean' }, [0, 0, 0, 0, 1, 2, 3, 4]],
  ['two registers', { registers: 2 }, [0]],
  ['distillation token', { pooling: 'distilled', distillationToken: true, positionPrefix: 2 }, [0, 1]],
]
for (const [name, changes, rows] of kinds) {
  check(`rollout equals the product of the layers' matrices: ${name}`, async ({ backend }) => {
    const model = smallVit(backend, changes)
    const got = await valuesOf(() => attentionRollout(model, images(model)))
    near(got, await byMatrices(model, rows), 1e-5, name)
    const n = got.length / 2
    for (const b of [0, 1]) near([got.subarray(b * n, (b + 1) * n).reduce((x, y) => x + y, 0)], [1], 1e-6, 'row sum')
    const patches = await valuesOf(() => patchesOf(model, attentionRollout(model, images(model))))
    assert.equal([...patches.subarray(0, 4)], [...got.subarray(n - 4, n)], 'the last tokens are the patches')
    disposeModule(model)
  })
}

check('adapters on query and key change where the model looks', async ({ backend }) => {
  const model = smallVit(backend)
  const before = await valuesOf(() => attentionRollout(model, images(model)))
  injectAdapter(model, loraConfig({ targetModules: ['query', 'key'] }), 0)
  near(await valuesOf(() => attentionRollout(model, images(model))), before, 1e-6, 'a new adapter changes nothing')
  for (const [name, p] of namedParameters(model)) {
    if (/loraB/.test(name)) p.assign(Float32Array.from({ length: p.size }, (_, i) => Math.sin(i)))
  }
  const after = await valuesOf(() => attentionRollout(model, images(model)))
  assert.ok(after.some((v, i) => Math.abs(v - before[i]!) > 1e-3))
  disposeModule(model)
})

check('the map of a picture says which part of it the model saw', async ({ backend }) => {
  const preprocess = {
    resize: { shortest: 10 },
    crop: { height: 8, width: 8 },
    filter: 'bilinear',
    scale: 1 / 255,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  } as const
  const image = { width: 40, height: 20, data: Uint8Array.from({ length: 2400 }, (_, i) => (i * 7) % 256) }
  const maps = []
  const wasm: Backend = await createWasm({ threads: 1 })
  for (const on of [backend, wasm]) {
    const model = smallVit(on)
    const map = await explain({ model, preprocess }, image)
    assert.equal([map.rows, map.columns], [2, 2])
    assert.equal(map.seen, { left: 6 / 20, top: 1 / 10, width: 8 / 20, height: 8 / 10 })
    assert.is(Math.max(...map.heat), 1)
    assert.ok(map.heat.every((v) => v > 0))
    maps.push(map.heat)
    disposeModule(model)
  }
  near(maps[1]!, maps[0]!, 1e-5, 'wasm and reference')
  await wasm.dispose()
})

test.run()
