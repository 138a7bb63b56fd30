// The gradient of every operation against central differences in f64.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  abs,
  affine,
  attention,
  broadcastTo,
  concat,
  crossEntropy,
  dropout,
  exp,
  gather,
  gelu,
  layerNorm,
  linear,
  log,
  matmul,
  mean,
  meanAll,
  mul,
  permute,
  reciprocal,
  relu,
  reshape,
  rsqrt,
  sigmoid,
  silu,
  slice,
  softmax,
  sqrt,
  square,
  sum,
  sumSquares,
  type Tensor,
  tanh,
  transpose,
} from 'vitune/tensor'
import { checkGradients, type Input } from './grad-check.ts'
import { binaryOps, ints, linearCases, linearOf, of, pairs, seed } from './op-cases.ts'

const unaryOps = { abs, exp, gelu, log, reciprocal, relu, rsqrt, sigmoid, silu, sqrt, square, tanh }

/** Every operation's gradient cases: name of the export, what is special, function, inputs. */
const cases: [string, string, (...xs: Tensor[]) => Tensor, Input[]][] = [
  ...Object.entries(unaryOps).map(([name, op]): (typeof cases)[number] => {
    return [name, '', op, [{ shape: [3, 5], positive: /log|sqrt/.test(name) }]]
  }),
  ['affine', '', (x) => affine(x, -2.5, 0.75), of([3, 5])],
  ...Object.entries(binaryOps).flatMap(([name, op]) =>
    pairs.flatMap(([how, a, b]): (typeof cases)[number][] => [
      [name, how, op, of(a, b)],
      [name, `${how}, swapped`, op, of(b, a)],
    ]),
  ),
  ['mul', 'of a tensor with itself', (x) => mul(x, x), of([3])],
  ['broadcastTo', 'from the left', (x) => broadcastTo(x, [2, 3, 4]), of([4])],
  ['broadcastTo', 'inside', (x) => broadcastTo(x, [2, 3, 4, 2]), of([2, 1, 4, 1])],
  ['broadcastTo', 'from a scalar', (x) => broadcastTo(x, [2, 3]), of([])],
  ['broadcastTo', 'to the same', (x) => broadcastTo(x, [2, 3]), of([2, 3])],
  ...linearCases.map((c): (typeof cases)[number] => {
    const { fn, inputs } = linearOf(c, { x: [2, 3, 4], out: 5 })
    return ['linear', JSON.stringify(c), fn, inputs]
  }),
  ['linear', 'of a vector', (x, w, b) => linear(x, w, { bias: b }), of([4], [3, 4], [3])],
  ['linear', 'of a matrix with itself', (a) => linear(a, a), of([3, 4])],
  ['matmul', 'of matrices', matmul, of([3, 4], [4, 5])],
  ['matmul', 'of a batch with one matrix', matmul, of([2, 3, 4], [4, 5])],
  ['matmul', 'of two batches', matmul, of([2, 2, 3, 4], [2, 2, 4, 5])],
  ['attention', 'of one head', (q, k, v) => attention(q, k, v, 1), of([1, 3, 2], [1, 3, 2], [1, 3, 2])],
  ['attention', 'of three heads', (q, k, v) => attention(q, k, v, 3), of([2, 5, 6], [2, 5, 6], [2, 5, 6])],
  ['attention', 'to itself', (x) => attention(x, x, x, 2), of([2, 3, 4])],
  ['layerNorm', '', (x, w, b) => layerNorm(x, w, b, 1e-3), of([2, 3, 7], [7], [7])],
  ['softmax', '', softmax, of([2, 3, 5])],
  ['softmax', 'of one column', softmax, of([3, 1])],
  ['crossEntropy', '', (x) => crossEntropy(x, ints(x, [2, 0, 1])), of([3, 4])],
  ['crossEntropy', 'smoothed', (x) => crossEntropy(x, ints(x, [2, 0, 1]), 0.1), of([3, 4])],
  ['crossEntropy', 'with ignored rows', (x) => crossEntropy(x, ints(x, [-1, 3, -1]), 0.2), of([3, 4])],
  ...[0, 1, 2, -1].flatMap((axis): typeof cases => [
    ['sum', `over axis ${axis}`, (x) => sum(x, axis), of([2, 3, 4])],
    ['sum', `over axis ${axis}, scaled`, (x) => sum(x, axis, -0.3), of([2, 3, 4])],
    ['mean', `over axis ${axis}`, (x) => mean(x, axis), of([2, 3, 4])],
  ]),
  ['sum', 'of a vector', (x) => sum(x, 0), of([5])],
  ['meanAll', '', meanAll, of([2, 3])],
  ['sumSquares', '', sumSquares, of([2, 3, 4])],
  ['sumSquares', 'of a vector', sumSquares, of([4])],
  ['reshape', '', (x) => reshape(x, [4, -1]), of([2, 6])],
  ...[
    [0, 1, 2],
    [2, 0, 1],
    [1, 2, 0],
    [2, 1, 0],
  ].map((order): (typeof cases)[number] => {
    return ['permute', `(${order})`, (x) => permute(x, order), of([2, 3, 4])]
  }),
  ['transpose', '', transpose, of([2, 3, 4])],
  ...[0, 1, -1].flatMap((axis): typeof cases => [
    ['slice', `along axis ${axis}`, (x) => slice(x, axis, 1, 3), of([3, 4, 3])],
    ['concat', `along axis ${axis}`, (a, b) => concat([a, b, a], axis), of([2, 3, 2], [2, 3, 2])],
  ]),
  ['concat', 'of different sizes', (a, b, c) => concat([a, b, c], 1), of([2, 1, 3], [2, 4, 3], [2, 2, 3])],
  ['gather', 'with repeated rows', (x) => gather(x, ints(x, [3, 1, 3, 3, 0])), of([4, 3])],
  ['dropout', 'by element', (x) => dropout(x, 0.4, seed(x), 3), of([5, 7])],
  ['dropout', 'by sample', (x) => dropout(x, 0.4, seed(x), 3, 7), of([5, 7])],
  ['dropout', 'at 0', (x) => dropout(x, 0, seed(x), 3), of([5])],
]

for (const name of new Set(cases.map(([op]) => op))) {
  test(`the gradients of ${name} equal central differences, whatever else trains`, async () => {
    for (const [op, how, fn, inputs] of cases) if (op === name) await checkGradients(`${op} ${how}`, fn, inputs)
  })
}

test('every exported operation has a gradient case', () => {
  const index = readFileSync(new URL('../src/public/tensor.ts', import.meta.url), 'utf8')
  const room = /\n\/\/ ops\n([\s\S]*?)\n\n/.exec(index)![1]!
  const names = [...room.matchAll(/\{([^}]*)\}/g)].flatMap(([, list]) => list!.split(','))
  const functions = names.map((n) => n.trim()).filter((n) => n !== '' && !n.startsWith('type '))
  // A raw copy is for backward rules and records nothing, and what is packed has no gradient.
  const unrecorded = ['overwrite', 'unpack']
  assert.equal(
    functions.filter((name) => !unrecorded.includes(name) && !cases.some(([op]) => op === name)),
    [],
  )
})

test.run()
