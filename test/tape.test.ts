// Scopes, gradients and recomputation: what they free, what they give, and that nothing is lost on the way.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freezeBackbone, injectAdapter, loraConfig } from 'vitune/adapters'
import type { Vit } from 'vitune/models'
import { Context, disposeModule, trainableParameters } from 'vitune/nn'
import {
  add,
  affine,
  type Backend,
  checkpoint,
  concat,
  createReference,
  gelu,
  keep,
  linear,
  mul,
  parameter,
  reshape,
  scope,
  square,
  sum,
  type Tensor,
  tensor,
  untracked,
  valueAndGrad,
} from 'vitune/tensor'
import { multiclass } from 'vitune/train'
import { backends, counted, near, take } from './grad-check.ts'
import { pixels, smallVit } from './small-vit.ts'

const list = (backend: Backend, values: number[]) => tensor(backend, values, [values.length])
const total = (x: Tensor) => sum(reshape(x, [x.size]), 0)

for (const [name, make] of backends) {
  const on = (sentence: string, body: (backend: Backend) => Promise<void>) => {
    test(`${sentence} (${name})`, async () => {
      const backend = await make()
      await body(backend)
      assert.is(backend.memory().buffers, 0)
      await backend.dispose()
    })
  }

  on('a scope frees what it made, except what it returns or keeps', async (backend) => {
    const x = list(backend, [1, 2])
    let kept: Tensor | undefined
    let inside: Tensor | undefined
    const found = scope(() => {
      kept = keep(affine(x, 2))
      inside = affine(x, 3)
      return { one: affine(x, 4), more: [affine(x, 5), { deep: affine(x, 6) }], x, text: 'plain', none: undefined }
    })
    assert.ok(inside!.disposed)
    assert.is(backend.memory().buffers, 5)
    const deep = found.more[1] as { deep: Tensor }
    assert.equal(await take([kept!, found.one, found.more[0] as Tensor, deep.deep]), [
      Float32Array.of(2, 4),
      Float32Array.of(4, 8),
      Float32Array.of(5, 10),
      Float32Array.of(6, 12),
    ])
    assert.not.ok(x.disposed, 'a tensor from outside stays')
    x.dispose()
  })

  on('what an inner scope returns belongs to the outer one, and views share their memory', async (backend) => {
    const x = list(backend, [1, 2, 3, 4])
    let passed: Tensor | undefined
    scope(() => {
      passed = scope(() => affine(x, 2))
      assert.not.ok(passed.disposed)
    })
    assert.ok(passed!.disposed)
    const view = scope(() => reshape(x, [2, 2]))
    assert.is(backend.memory().buffers, 1)
    x.dispose()
    assert.is(backend.memory().buffers, 1)
    assert.equal(await take([view]), [Float32Array.of(1, 2, 3, 4)])
  })

  on('a parameter made inside a scope outlives it', async (backend) => {
    const p = scope(() => [parameter(backend, Float32Array.of(7), [1])][0]!)
    assert.is(await p.item(), 7)
    scope(() => parameter(backend, Float32Array.of(8), [1]).dispose())
    p.dispose()
  })

  on('a scope refuses a Promise, and frees everything then and on an error', async (backend) => {
    const x = list(backend, [1, 2])
    assert.throws(() => scope(async () => affine(x, 2)), /^scope: the function must not be async, got a Promise/)
    assert.is(backend.memory().buffers, 1)
    const fails = () =>
      scope(() => {
        affine(x, 2)
        scope(() => {
          affine(x, 3)
          throw new Error('on purpose')
        })
      })
    assert.throws(fails, /on purpose/)
    assert.is(backend.memory().buffers, 1)
    // No scope is left open: what is made now belongs to nobody.
    const free = affine(x, 2)
    assert.equal(await take([x, free]), [Float32Array.of(1, 2), Float32Array.of(2, 4)])
  })

  on('valueAndGrad gives the loss, what came beside it, and a gradient for each parameter', async (backend) => {
    const [a, b, unused] = [list(backend, [1, 2]), list(backend, [3, 4]), list(backend, [5, 6, 7])]
    const { value, aux, grads } = valueAndGrad(() => {
      const product = mul(a, b)
      return [total(product), { product, parts: [affine(product, 2)], note: 'kept' }]
    }, [a, b, unused])
    assert.is(aux.note, 'kept')
    assert.equal(
      await take([value, aux.product, aux.parts[0]!, ...grads]),
      [[11], [3, 8], [6, 16], [3, 4], [1, 2], [0, 0, 0]].map((v) => Float32Array.from(v)),
    )
    assert.is(backend.memory().buffers, 3)
    for (const t of [a, b, unused]) t.dispose()
  })

  on('gradients of what is used more than once add up', async (backend) => {
    const x = list(backend, [1, 2, 3])
    const gradient = async (fn: () => Tensor) => {
      const { value, grads } = valueAndGrad(fn, [x])
      value.dispose()
      return Array.from((await take(grads))[0]!)
    }
    assert.equal(await gradient(() => total(mul(x, x))), [2, 4, 6])
    assert.equal(await gradient(() => total(add(x, x))), [2, 2, 2])
    assert.equal(await gradient(() => total(concat([x, x, x], 0))), [3, 3, 3])
    const shared = () => {
      const y = square(x)
      return total(add(add(mul(y, y), y), affine(y, 3)))
    }
    // x^4 + 4 x^2
    assert.equal(await gradient(shared), [12, 48, 132])
    assert.equal(await gradient(() => total(reshape(add(x, affine(x, 2)), [3, 1]))), [3, 3, 3])
    x.dispose()
  })

  on('a parameter that is the loss has gradient 1, and one given twice its gradient twice', async (backend) => {
    const p = list(backend, [2])
    const alone = valueAndGrad(() => p, [p])
    assert.is(alone.value, p)
    assert.equal(await take(alone.grads), [Float32Array.of(1)])
    const twice = valueAndGrad(() => square(p), [p, p])
    assert.equal(await take([twice.value]), [Float32Array.of(4)])
    for (const g of twice.grads) assert.is(await g.item(), 4)
    for (const g of twice.grads) g.dispose()
    p.dispose()
  })

  on('what is untracked gets no gradient', async (backend) => {
    const x = list(backend, [3])
    const { value, grads } = valueAndGrad(
      () =>
        mul(
          x,
          untracked(() => square(x)),
        ),
      [x],
    )
    assert.equal(await take([value, ...grads]), [Float32Array.of(27), Float32Array.of(9)])
    x.dispose()
  })

  on('valueAndGrad refuses a loss of more elements, a Promise and nesting, and frees everything', async (backend) => {
    const x = list(backend, [1, 2])
    const loss = () => total(square(x))
    const message = /^valueAndGrad: the loss must be one element, got \(2\)$/
    assert.throws(() => valueAndGrad(() => square(x), [x]), message)
    assert.throws(() => valueAndGrad((async () => loss()) as unknown as () => Tensor, [x]), /got a Promise/)
    assert.throws(() => valueAndGrad(() => valueAndGrad(loss, [x]).value, [x]), /^valueAndGrad: cannot be nested/)
    const fails = () => {
      square(x)
      throw new Error('on purpose')
    }
    assert.throws(() => valueAndGrad(fails, [x]), /on purpose/)
    assert.is(backend.memory().buffers, 1)
    const { value, grads } = valueAndGrad(loss, [x])
    assert.equal(await take([value, ...grads]), [Float32Array.of(5), Float32Array.of(2, 4)])
    x.dispose()
  })

  on('recomputing gives the same loss and gradients, bit for bit, with less memory', async (backend) => {
    for (const rates of [{}, { dropout: 0.2, dropPath: 0.3 }]) {
      const model = smallVit(backend, { layers: 6, ...rates })
      const plain = await oneStep(model, false)
      const again = await oneStep(model, true)
      assert.equal(again.values, plain.values)
      assert.ok(again.peak < 0.6 * plain.peak, `peak ${again.peak}, kept all ${plain.peak}`)
      disposeModule(model)
    }
  })

  on(
    'recomputation gives the same bits whatever trains, and whatever the last layer of a block is',
    async (backend) => {
      const target = ['query', 'dense']
      const everyKind: ((model: Vit) => void)[] = [
        freezeBackbone,
        (model) => injectAdapter(model, loraConfig({ r: 2 }), 1),
        (model) => injectAdapter(model, loraConfig({ r: 2, targetModules: target, bias: 'all', dropout: 0.1 }), 1),
        (model) => injectAdapter(model, loraConfig({ r: 2, targetModules: target, useDora: true, dropout: 0.1 }), 1),
        () => {},
      ]
      for (const changes of [
        { layerScale: true },
        { swiglu: true, dropout: 0.1 },
        { layerScale: true, dropPath: 0.3 },
      ]) {
        for (const [kind, prepare] of everyKind.entries()) {
          const model = smallVit(backend, { layers: 2, ...changes })
          prepare(model)
          const again = await oneStep(model, true)
          const { values } = await oneStep(model, false)
          const what = `${kind} ${JSON.stringify(changes)}`
          // A trained scale is an op of its own on the tape, and part of the product in the pass without one.
          const fused = 'layerScale' in changes && kind === everyKind.length - 1
          if (!fused) assert.equal(again.values, values, what)
          else for (const [i, list] of values.entries()) near(again.values[i]!, list, 1e-6, what)
          disposeModule(model)
        }
      }
    },
  )

  on('recomputation nests, takes a parameter as its argument, and passes its argument through', async (backend) => {
    const [x, w] = [list(backend, [0.5, -1]), tensor(backend, [1, 2, 3, 4], [2, 2])]
    const layer = (h: Tensor) => gelu(linear(h, w))
    const gradients = async (fn: (h: Tensor) => Tensor) => {
      const { value, grads } = valueAndGrad(() => total(fn(x)), [w, x])
      return take([value, ...grads])
    }
    const want = await gradients((h) => layer(layer(layer(h))))
    // The gradient of w is summed in another order.
    const nested = await gradients((h) => checkpoint((a) => layer(checkpoint((b) => layer(layer(b)), a)), h))
    for (const [i, values] of want.entries()) near(nested[i]!, values, 1e-6, `nested ${i}`)
    assert.equal(await gradients((h) => layer(checkpoint((a) => a, layer(layer(h))))), want)
    // The argument is a parameter, and is used beside the argument too.
    assert.equal(await gradients((h) => checkpoint((a) => mul(a, x), h)), await gradients((h) => mul(h, x)))
    assert.equal(await take([scope(() => checkpoint(layer, x))]), await take([scope(() => layer(x))]))
    x.dispose()
    w.dispose()
  })

  on('recomputation refuses a tensor whose gradient would be lost', async (backend) => {
    const x = list(backend, [1, 2])
    const beside = (deep: boolean, alive: boolean) => () => {
      const y = square(x)
      const fn = (h: Tensor) => mul(h, y)
      const loss = total(checkpoint(deep ? (h) => checkpoint(fn, h) : fn, affine(y, 2)))
      return [loss, alive ? y : undefined] as [Tensor, Tensor | undefined]
    }
    for (const deep of [false, true]) {
      const message = /^checkpoint: the function may use its argument and what trains, got a tensor made before it$/
      assert.throws(() => valueAndGrad(beside(deep, true), [x]), message)
      assert.throws(() => valueAndGrad(beside(deep, false), [x]), /^tensor: used after dispose/)
    }
    assert.is(backend.memory().buffers, 1)
    x.dispose()
  })
}

/** Loss and all gradients of one training step, and the most memory that it took beyond the weights. */
async function oneStep(model: Vit, recompute: boolean): Promise<{ values: ArrayLike<number>[]; peak: number }> {
  const { backend } = model
  const seed = tensor(backend, Int32Array.of(1, 2), [2])
  const before = backend.memory().used
  backend.resetPeak()
  const { value, grads } = valueAndGrad(
    () => lossOf(model, 16, seed, recompute),
    trainableParameters(model).map(([, p]) => p),
  )
  const peak = backend.memory().peak - before
  const values = await take([value, ...grads])
  seed.dispose()
  return { values, peak }
}

function lossOf(model: Vit, count: number, seed: Tensor, recompute: boolean): Tensor {
  const { backend } = model
  const task = multiclass(model.config.classes, { labelSmoothing: 0.1 })
  const images = tensor(backend, pixels(count), [count, 3, 8, 8])
  const logits = model.forward(images, new Context(true, seed), { checkpoint: recompute })
  const label = tensor(
    backend,
    Int32Array.from({ length: count }, (_, i) => i % 3),
    [count],
  )
  return affine(task.terms(logits, { label }, true), 1 / count)
}

test('of the last layer of a block only what a gradient reads is computed again', async () => {
  // Products of a block in the recomputation: all 6 but fc2's, and those of its adapters. The last block is kept.
  for (const [prepare, products] of [
    [() => {}, 5],
    [(model: Vit) => injectAdapter(model, loraConfig({ r: 2, targetModules: ['query'] }), 1), 5 + 2],
    // The gradient of B reads what A makes, so here fc2 runs as it did.
    [(model: Vit) => injectAdapter(model, loraConfig({ r: 2, targetModules: ['output.dense'] }), 1), 6 + 4],
  ] as const) {
    const watch = counted(createReference())
    const model = smallVit(watch.backend, { layers: 3 })
    prepare(model)
    const count = async (recompute: boolean) => {
      watch.reset()
      await oneStep(model, recompute)
      return watch.calls.filter(({ kernel }) => kernel === 'matmul').length
    }
    const more = (await count(true)) - (await count(false))
    assert.is(more, 2 * products)
    disposeModule(model)
    assert.is(watch.backend.memory().buffers, 0)
  }
})

for (const recompute of [false, true]) {
  test(`wherever a step with ${recompute ? 'recomputation' : 'a plain tape'} fails, nothing is left`, async () => {
    const watch = counted(createReference())
    const { backend } = watch
    const model = smallVit(backend, { layers: 2, dropout: 0.1, layerScale: true })
    const params = trainableParameters(model).map(([, p]) => p)
    const seed = tensor(backend, Int32Array.of(1, 2), [2])
    const step = () => valueAndGrad(() => lossOf(model, 2, seed, recompute), params)
    const live = backend.memory().buffers
    watch.reset()
    const { value, grads } = step()
    const want = await take([value, ...grads])
    const [dispatches, allocations] = [watch.calls.length, watch.allocated.length]
    assert.ok(dispatches > 100 && allocations > 100)
    for (let at = 0; at < dispatches; at++) {
      let left = at
      watch.onDispatch = () => {
        if (left-- === 0) throw new Error('on purpose')
      }
      assert.throws(step, /on purpose/)
      assert.is(backend.memory().buffers, live, `after failing in kernel ${at} of ${dispatches}`)
    }
    watch.onDispatch = () => {}
    for (let at = 0; at < allocations; at++) {
      let left = at
      watch.onAlloc = () => {
        if (left-- === 0) throw new Error('out of memory')
      }
      assert.throws(step, /out of memory/)
      assert.is(backend.memory().buffers, live, `after failing in allocation ${at} of ${allocations}`)
    }
    watch.onAlloc = () => {}
    // And the next step is as if nothing had been.
    const after = step()
    assert.equal(await take([after.value, ...after.grads]), want)
    seed.dispose()
    disposeModule(model)
    assert.is(backend.memory().buffers, 0)
  })
}

test.run()
