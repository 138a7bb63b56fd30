// The values of operations against plain JavaScript, and the shapes they refuse.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  abs,
  add,
  attention,
  type Backend,
  broadcastTo,
  concat,
  createReference,
  crossEntropy,
  dropout,
  gather,
  gelu,
  layerNorm,
  linear,
  matmul,
  mean,
  mul,
  permute,
  reshape,
  scope,
  slice,
  softmax,
  sum,
  type Tensor,
  tensor,
  transpose,
} from 'vitune/tensor'
import { backends, near, numbers } from './grad-check.ts'
import { binaryOps, ints, linearCases, linearOf, pairs, type Shape, seed, sizeOf } from './op-cases.ts'

/** Calls `at` with each index of a shape, in order, and collects the numbers. */
function table(shape: Shape, at: (index: number[]) => number): number[] {
  return Array.from({ length: sizeOf(shape) }, (_, flat) => {
    const index: number[] = []
    let rest = flat
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index.unshift(rest % shape[axis]!)
      rest = Math.floor(rest / shape[axis]!)
    }
    return at(index)
  })
}

/** Reads flat data by index; sizes of 1 repeat, missing leading axes too. */
const reader = (data: ArrayLike<number>, shape: Shape) => (index: readonly number[]) => {
  const own = index.slice(index.length - shape.length)
  return data[own.reduce((flat, i, axis) => flat * shape[axis]! + (shape[axis] === 1 ? 0 : i), 0)]!
}

/** By its Taylor series: close to 1 in f64 from 5 on. */
const erf = (x: number): number => {
  if (Math.abs(x) > 5) return Math.sign(x)
  let term = x
  let total = x
  for (let n = 1; n < 150; n++) {
    term *= (-x * x) / n
    total += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * total
}
const gaussian = (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2))

const odd = [1, 3, 17, 67]

async function agree(
  backend: Backend,
  what: string,
  inputs: readonly Shape[],
  fn: (...xs: Tensor[]) => Tensor,
  want: (...xs: ArrayLike<number>[]) => ArrayLike<number>,
): Promise<void> {
  const values = inputs.map((shape, i) => Float32Array.from(numbers({ shape }, i + 40)))
  const xs = inputs.map((shape, i) => tensor(backend, values[i]!, shape))
  const y = scope(() => fn(...xs))
  const got = await y.data()
  near(got, want(...values), 1e-5, what)
  for (const t of [...xs, y]) t.dispose()
}

for (const [backendName, make] of backends) {
  test(`elementwise and moving operations give what plain loops give (${backendName})`, async () => {
    const backend = await make()
    const same = { add: (a: number, b: number) => a + b, sub: (a: number, b: number) => a - b } as const
    const both = { ...same, mul: (a: number, b: number) => a * b, div: (a: number, b: number) => a / b }
    for (const [how, a, b] of [...pairs, ...pairs.map(([h, x, y]) => [`${h}, swapped`, y, x] as const)]) {
      const rank = Math.max(a.length, b.length)
      const size = (shape: Shape, i: number) => shape[i - (rank - shape.length)] ?? 1
      const shape = Array.from({ length: rank }, (_, i) => Math.max(size(a, i), size(b, i)))
      for (const [name, op] of Object.entries(binaryOps)) {
        const plain = both[name as keyof typeof both]
        await agree(backend, `${name} ${how}`, [a, b], op, (x, y) => {
          return table(shape, (i) => plain(reader(x, a)(i), reader(y, b)(i)))
        })
      }
    }
    for (const n of odd) {
      await agree(backend, `gelu of ${n}`, [[n]], gelu, (x) => Array.from(x, gaussian))
      await agree(
        backend,
        `permute of ${n}`,
        [[n, 2, 3]],
        (x) => permute(x, [2, 0, 1]),
        (x) => {
          return table([3, n, 2], ([i, j, k]) => reader(x, [n, 2, 3])([j!, k!, i!]))
        },
      )
      await agree(backend, `transpose of ${n}`, [[2, n, 5]], transpose, (x) => {
        return table([2, 5, n], ([i, j, k]) => reader(x, [2, n, 5])([i!, k!, j!]))
      })
      await agree(
        backend,
        `slice of ${n}`,
        [[2, n + 2, 3]],
        (x) => slice(x, 1, 1, n + 1),
        (x) => {
          return table([2, n, 3], ([i, j, k]) => reader(x, [2, n + 2, 3])([i!, j! + 1, k!]))
        },
      )
      await agree(
        backend,
        `concat of ${n}`,
        [
          [2, n, 3],
          [2, 2, 3],
        ],
        (a, b) => concat([a, b], 1),
        (a, b) => {
          return table([2, n + 2, 3], ([i, j, k]) => {
            return j! < n ? reader(a, [2, n, 3])([i!, j!, k!]) : reader(b, [2, 2, 3])([i!, j! - n, k!])
          })
        },
      )
      const rows = Array.from({ length: n }, (_, i) => (i * i) % 4)
      await agree(
        backend,
        `gather of ${n}`,
        [[4, 3]],
        (x) => gather(x, ints(x, rows)),
        (x) => {
          return table([n, 3], ([i, j]) => reader(x, [4, 3])([rows[i!]!, j!]))
        },
      )
      for (const axis of [0, 1, 2]) {
        const shape = [2, n, 3]
        const left = shape.filter((_, i) => i !== axis)
        await agree(
          backend,
          `sum of ${n} over axis ${axis}`,
          [shape],
          (x) => sum(x, axis),
          (x) => {
            return table(left, (index) => {
              let total = 0
              for (let c = 0; c < shape[axis]!; c++) total += reader(x, shape)(index.toSpliced(axis, 0, c))
              return total
            })
          },
        )
      }
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`products, attention and normalisation give what plain loops give (${backendName})`, async () => {
    const backend = await make()
    for (const [m, k, n] of [
      [1, 1, 1],
      [3, 17, 1],
      [17, 3, 67],
      [1, 67, 17],
      [67, 1, 3],
    ] as const) {
      const size = `${m} x ${k} x ${n}`
      const product = (x: ArrayLike<number>, w: ArrayLike<number>) => {
        return table([2, m, n], ([b, i, j]) => {
          let total = 0
          for (let c = 0; c < k; c++) total += reader(x, [2, m, k])([b!, i!, c]) * reader(w, [n, k])([j!, c])
          return total
        })
      }
      for (const c of linearCases) {
        const { fn, inputs } = linearOf(c, { x: [2, m, k], out: n })
        await agree(
          backend,
          `linear ${size} ${JSON.stringify(c)}`,
          inputs.map((i) => i.shape),
          fn,
          (x, w, ...rest) => {
            const extra = [...rest]
            const bias = c.bias ? extra.shift() : undefined
            const scale = c.colScale ? extra.shift() : undefined
            const residual = c.residual ? extra.shift() : undefined
            return product(x, w).map((v, at) => {
              const p = c.alpha * v + (bias ? bias[at % n]! : 0)
              return (
                (c.act === 'gelu' ? gaussian(p) : p) * (scale ? scale[at % n]! : 1) + (residual ? residual[at]! : 0)
              )
            })
          },
        )
      }
      const turned = (w: ArrayLike<number>) => table([n, k], ([j, c]) => reader(w, [k, n])([c!, j!]))
      await agree(
        backend,
        `matmul ${size}`,
        [
          [2, m, k],
          [k, n],
        ],
        matmul,
        (x, w) => product(x, turned(w)),
      )
      await agree(
        backend,
        `matmul ${size} in a batch`,
        [
          [2, m, k],
          [2, k, n],
        ],
        matmul,
        (x, w) => {
          return table([2, m, n], ([b, i, j]) => {
            let total = 0
            for (let c = 0; c < k; c++) total += reader(x, [2, m, k])([b!, i!, c]) * reader(w, [2, k, n])([b!, c, j!])
            return total
          })
        },
      )
    }
    for (const n of odd) {
      const rowOf = (x: ArrayLike<number>, i: number) => Array.from(x).slice(i * n, (i + 1) * n)
      const soft = (row: number[]) => {
        const raised = row.map(Math.exp)
        const total = raised.reduce((a, b) => a + b, 0)
        return raised.map((e) => e / total)
      }
      await agree(backend, `softmax of ${n}`, [[3, n]], softmax, (x) => [0, 1, 2].flatMap((i) => soft(rowOf(x, i))))
      await agree(
        backend,
        `layerNorm of ${n}`,
        [[3, n], [n], [n]],
        (x, w, b) => layerNorm(x, w, b, 1e-3),
        (x, w, b) => {
          return [0, 1, 2].flatMap((i) => {
            const row = rowOf(x, i)
            const centre = row.reduce((a, v) => a + v, 0) / n
            const spread = row.reduce((a, v) => a + (v - centre) ** 2, 0) / n
            return row.map((v, j) => ((v - centre) / Math.sqrt(spread + 1e-3)) * w[j]! + b[j]!)
          })
        },
      )
      const targets = [0, n - 1, -1]
      const loss = (x: Tensor) => crossEntropy(x, ints(x, targets), 0.1)
      await agree(backend, `crossEntropy of ${n}`, [[3, n]], loss, (x) => {
        return targets.map((t, i) => {
          if (t < 0) return 0
          const logs = soft(rowOf(x, i)).map(Math.log)
          return -0.9 * logs[t]! - (0.1 * logs.reduce((a, b) => a + b, 0)) / n
        })
      })
      const [heads, d] = [2, 3]
      const shape = [2, n, heads * d]
      await agree(
        backend,
        `attention of ${n}`,
        [shape, shape, shape],
        (q, k, v) => attention(q, k, v, heads),
        (q, k, v) => {
          return table(shape, ([b, i, c]) => {
            const first = c! - (c! % d)
            const score = (j: number) => {
              let dot = 0
              for (let e = first; e < first + d; e++)
                dot += reader(q, shape)([b!, i!, e]) * reader(k, shape)([b!, j, e])
              return dot / Math.sqrt(d)
            }
            const shares = soft(Array.from({ length: n }, (_, j) => score(j)))
            return shares.reduce((total, p, j) => total + p * reader(v, shape)([b!, j, c!]), 0)
          })
        },
      )
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`dropout keeps its share, scales it, and repeats itself by seed, step and stream (${backendName})`, async () => {
    const backend = await make()
    const x = tensor(backend, new Float32Array(4099).fill(1), [4099])
    const draw = async (seeds: number[], stream: number, inner = 1) => {
      const y = scope(() => dropout(x, 0.25, ints(x, seeds), stream, inner))
      const values = await y.data()
      y.dispose()
      return Array.from(values)
    }
    const first = await draw([1, 2], 0)
    assert.equal(first, await draw([1, 2], 0))
    for (const other of [await draw([2, 2], 0), await draw([1, 3], 0), await draw([1, 2], 1)]) {
      assert.ok(first.filter((v, i) => v !== other[i]).length > 1000)
    }
    assert.equal([...new Set(first)].sort(), [0, Math.fround(1 / 0.75)])
    const kept = first.filter((v) => v > 0).length / first.length
    assert.ok(Math.abs(kept - 0.75) < 0.03, `kept ${kept}`)
    const samples = await draw([1, 2], 0, 10)
    for (let i = 0; i < 4090; i += 10) assert.is(new Set(samples.slice(i, i + 10)).size, 1)
    x.dispose()
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

const refusals: [string, Shape[], (...xs: Tensor[]) => unknown, RegExp][] = [
  ['add', [[2, 3], [4]], add, /^add: shapes must be equal or repeat, got \(2, 3\) and \(4\)$/],
  [
    'mul',
    [
      [4, 2, 3],
      [4, 5, 3],
    ],
    mul,
    /^mul: shapes must be equal or repeat, got \(4, 2, 3\) and \(4, 5, 3\)$/,
  ],
  ['broadcastTo', [[2, 3]], (x) => broadcastTo(x, [2, 4]), /^broadcastTo: shape must extend \(2, 3\), got \(2, 4\)$/],
  [
    'broadcastTo, fewer axes',
    [[2, 3]],
    (x) => broadcastTo(x, [3]),
    /^broadcastTo: shape must extend \(2, 3\), got \(3\)$/,
  ],
  [
    'linear',
    [
      [2, 3],
      [4, 5],
    ],
    (x, w) => linear(x, w),
    /^linear: weight must be \(out, 3\), got \(4, 5\) for x \(2, 3\)$/,
  ],
  [
    'linear bias',
    [[2, 3], [4, 3], [3]],
    (x, w, bias) => linear(x, w, { bias }),
    /^linear: bias and colScale must have 4 elements, got \(3\)$/,
  ],
  [
    'linear colScale',
    [[2, 3], [4, 3], [5]],
    (x, w, colScale) => linear(x, w, { colScale }),
    /^linear: bias and colScale must have 4 elements, got \(5\)$/,
  ],
  [
    'linear residual',
    [
      [2, 3],
      [4, 3],
      [4, 2],
    ],
    (x, w, residual) => linear(x, w, { residual }),
    /^linear: residual must be \(2, 4\), got \(4, 2\)$/,
  ],
  [
    'matmul',
    [
      [8, 16],
      [12, 4],
    ],
    matmul,
    /^matmul: inner sizes must match, got \(8, 16\) x \(12, 4\)$/,
  ],
  [
    'matmul of batches',
    [
      [2, 3, 4],
      [3, 4, 5],
    ],
    matmul,
    /^matmul: inner sizes must match, got \(2, 3, 4\) x \(3, 4, 5\)$/,
  ],
  ['matmul of a vector', [[4], [4, 5]], matmul, /^matmul: inner sizes must match, got \(4\) x \(4, 5\)$/],
  [
    'attention heads',
    [[1, 3, 4]],
    (x) => attention(x, x, x, 3),
    /^attention: q, k and v must be equal \(B, N, heads \* D\), got .* with 3 heads$/,
  ],
  [
    'attention over no numbers',
    [[1, 3, 0]],
    (x) => attention(x, x, x, 1),
    /^attention: q, k and v must be equal \(B, N, heads \* D\), got .* with 1 heads$/,
  ],
  [
    'attention shapes',
    [
      [1, 3, 4],
      [1, 2, 4],
    ],
    (q, k) => attention(q, k, k, 2),
    /^attention: .* got \(1, 3, 4\), \(1, 2, 4\), \(1, 2, 4\) with 2 heads$/,
  ],
  [
    'layerNorm',
    [[2, 3], [3], [4]],
    (x, w, b) => layerNorm(x, w, b, 0),
    /^layerNorm: weight and bias must have 3 elements, got \(3\) and \(4\)$/,
  ],
  [
    'crossEntropy',
    [[2, 3]],
    (x) => crossEntropy(x, ints(x, [0])),
    /^crossEntropy: needs logits \(B, K\) and i32 targets \(B\), got \(2, 3\) and \(1\) i32$/,
  ],
  ['crossEntropy targets', [[2, 3], [2]], crossEntropy as never, /^crossEntropy: .* got \(2, 3\) and \(2\) f32$/],
  ['sum', [[2, 3]], (x) => sum(x, 2), /^sum: axis must be within rank 2, got 2$/],
  ['mean', [[2, 3]], (x) => mean(x, -3), /^mean: axis must be within rank 2, got -3$/],
  ['reshape', [[2, 3]], (x) => reshape(x, [4, 2]), /^reshape: element counts must match, got \(2, 3\) to \(4, 2\)$/],
  [
    'reshape to a broken size',
    [[2, 3]],
    (x) => reshape(x, [4, -1]),
    /^reshape: element counts must match, got \(2, 3\) to \(4, -1\)$/,
  ],
  ['permute', [[2, 3]], (x) => permute(x, [0, 0]), /^permute: order must name each of 2 axes once, got \(0, 0\)$/],
  ['slice', [[2, 3]], (x) => slice(x, 1, 2, 4), /^slice: range must lie within axis of 3, got \[2, 4\)$/],
  ['slice of nothing', [[2, 3]], (x) => slice(x, 1, 2, 2), /^slice: range must lie within axis of 3, got \[2, 2\)$/],
  [
    'concat',
    [
      [2, 3],
      [2, 4],
    ],
    (a, b) => concat([a, b], 0),
    /^concat: shapes must agree outside axis 0, got \(2, 3\), \(2, 4\)$/,
  ],
  ['concat of nothing', [], () => concat([], 0), /^concat: needs at least one tensor, got none$/],
  ['gather', [[2, 3]], (x) => gather(x, x), /^gather: needs a matrix and i32 indices, got \(2, 3\) and f32$/],
  ['dropout', [[2]], (x) => dropout(x, 1, seed(x), 0), /^dropout: probability must be in \[0, 1\), got 1$/],
  [
    'a disposed tensor',
    [[2]],
    (x) => {
      x.dispose()
      return abs(x)
    },
    /^tensor: used after dispose, shape \(2\)$/,
  ],
  [
    'two backends',
    [[2]],
    (x) => add(x, tensor(createReference(), [1, 2], [2])),
    /^binary: all tensors must be on one backend, got reference and reference$/,
  ],
]

test('operations refuse shapes that do not fit, saying the rule and what they got, and keep no memory', () => {
  for (const [what, shapes, fn, message] of refusals) {
    const backend = createReference()
    const xs = shapes.map((shape) => tensor(backend, new Float32Array(sizeOf(shape)), shape))
    let said = ''
    try {
      scope(() => void fn(...xs))
    } catch (error) {
      said = (error as Error).message
    }
    assert.match(said, message, what)
    for (const x of xs) x.dispose()
    assert.is(backend.memory().buffers, 0, what)
  }
})

test.run()
