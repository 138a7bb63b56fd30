// What frozen inputs cost: no gradient kernels, and nothing kept for the backward pass.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  add,
  attention,
  concat,
  createReference,
  layerNorm,
  linear,
  matmul,
  meanAll,
  mul,
  scope,
  softmax,
  type Tensor,
  tensor,
  valueAndGrad,
} from 'vitune/tensor'
import { counted, numbers } from './grad-check.ts'
import type { Shape } from './op-cases.ts'

interface Cost {
  name: string
  fn: (...xs: Tensor[]) => Tensor
  shapes: Shape[]
  /** By what trains: the kernels of the backward pass with their outputs, and elements saved beside the inputs. */
  costs: { train: number[]; backward: string[]; saved: number }[]
}

const gelued = 'binary y'
const costs: Cost[] = [
  {
    name: 'linear',
    fn: (x, w, b, r) => linear(x, w, { bias: b, act: 'gelu', residual: r }),
    shapes: [[3, 4], [5, 4], [5], [3, 5]],
    costs: [
      { train: [0], backward: [gelued, 'matmul y'], saved: 15 },
      { train: [1], backward: [gelued, 'matmul y'], saved: 15 },
      { train: [2], backward: [gelued, 'reduce y'], saved: 15 },
      { train: [3], backward: [], saved: 0 },
      { train: [0, 1, 2, 3], backward: [gelued, 'matmul y', 'matmul y', 'reduce y'], saved: 15 },
    ],
  },
  {
    name: 'matmul',
    fn: matmul,
    shapes: [
      [3, 4],
      [4, 5],
    ],
    costs: [
      { train: [0], backward: ['matmul y'], saved: 0 },
      { train: [1], backward: ['matmul y'], saved: 0 },
    ],
  },
  {
    name: 'mul of a sum',
    fn: (a, b, c) => mul(add(a, b), c),
    shapes: [[3, 4], [3, 4], [4]],
    costs: [
      { train: [0, 1], backward: ['binary y'], saved: 0 },
      { train: [2], backward: ['binary y', 'reduce y'], saved: 12 },
    ],
  },
  {
    name: 'mul by a sum',
    fn: (a, b, c) => mul(c, add(a, b)),
    shapes: [[4], [4], [3, 4]],
    costs: [
      { train: [0], backward: ['binary y', 'reduce y'], saved: 0 },
      { train: [2], backward: ['binary y'], saved: 4 },
    ],
  },
  {
    name: 'add',
    fn: add,
    shapes: [[3, 4], [4]],
    costs: [
      { train: [0], backward: [], saved: 0 },
      { train: [1], backward: ['reduce y'], saved: 0 },
    ],
  },
  {
    name: 'layerNorm',
    fn: (x, w, b) => layerNorm(x, w, b, 1e-6),
    shapes: [[3, 4], [4], [4]],
    costs: [
      { train: [0], backward: ['layerNormGrad dx'], saved: 6 },
      { train: [1], backward: ['layerNormGrad dw'], saved: 6 },
      { train: [2], backward: ['layerNormGrad db'], saved: 6 },
    ],
  },
  {
    name: 'attention',
    fn: (q, k, v) => attention(q, k, v, 2),
    shapes: [
      [2, 3, 4],
      [2, 3, 4],
      [2, 3, 4],
    ],
    costs: [
      { train: [0], backward: ['attentionGrad dq'], saved: 24 + 12 },
      { train: [1, 2], backward: ['attentionGrad dk dv'], saved: 24 + 12 },
    ],
  },
  {
    name: 'concat',
    fn: (a, b) => concat([a, b], 0),
    shapes: [
      [2, 3],
      [4, 3],
    ],
    costs: [
      { train: [0], backward: ['copy y'], saved: 0 },
      { train: [1], backward: ['copy y'], saved: 0 },
    ],
  },
  {
    name: 'a trained layer above frozen ones',
    fn: (x, w, top) => {
      let y = x
      for (let i = 0; i < 5; i++) y = attention(y, linear(y, w, { act: 'gelu' }), softmax(y), 1)
      return linear(y, top)
    },
    shapes: [
      [2, 3, 4],
      [4, 4],
      [5, 4],
    ],
    costs: [{ train: [2], backward: ['matmul y'], saved: 24 }],
  },
  {
    name: 'a frozen layer above a trained one',
    fn: (x, w, top) => linear(linear(x, w), top),
    shapes: [
      [2, 3],
      [4, 3],
      [5, 4],
    ],
    costs: [{ train: [1], backward: ['matmul y', 'matmul y'], saved: 0 }],
  },
]

test('frozen inputs get no gradient kernels, and nothing is saved for them', () => {
  for (const { name, fn, shapes, costs: each } of costs) {
    for (const { train, backward, saved } of each) {
      const what = `${name} training ${train}`
      const watch = counted(createReference())
      const { backend, calls } = watch
      const xs = shapes.map((shape, i) => tensor(backend, Float32Array.from(numbers({ shape }, i)), shape))
      const { used } = backend.memory()
      let at = -1
      let held = 0
      watch.onDispatch = (kernel) => {
        // The gradient of the loss is filled in first: what lives besides it, the loss and the inputs is saved.
        if (kernel !== 'fill' || at >= 0) return
        at = calls.length
        held = (backend.memory().used - used) / 4 - 2
      }
      const params = train.map((i) => xs[i]!)
      const { value, grads } = valueAndGrad(() => meanAll(fn(...xs)), params)
      const names = calls.slice(at).map(({ kernel, outputs }) => `${kernel} ${outputs.join(' ')}`)
      assert.equal(names, ['fill y', 'unary y', 'copy y', ...backward], what)
      assert.is(held, saved, `${what}: elements saved`)
      for (const t of [value, ...grads, ...xs]) t.dispose()
      assert.is(backend.memory().buffers, 0)
    }
  }
})

test('without a tape nothing is saved at all', () => {
  const watch = counted(createReference())
  const { backend } = watch
  const x = tensor(backend, numbers({ shape: [2, 3, 4] }), [2, 3, 4])
  const w = tensor(backend, numbers({ shape: [4, 4] }), [4, 4])
  const b = tensor(backend, numbers({ shape: [4] }), [4])
  watch.reset()
  scope(() => layerNorm(attention(x, x, linear(x, w, { bias: b, act: 'gelu' }), 2), b, b, 1e-6)).dispose()
  assert.equal(watch.allocated, [24, 24, 24])
  for (const t of [x, w, b]) t.dispose()
  assert.is(backend.memory().buffers, 0)
})

test.run()
