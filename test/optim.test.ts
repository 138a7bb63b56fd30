// Optimizers, clipping and schedules against what PyTorch and Hugging Face's library compute.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { disposeModule, namedParameters } from 'vitune/nn'
import {
  adamw,
  type Backend,
  clipFactor,
  createReference,
  decayGroups,
  isVector,
  type Optimizer,
  type Parameter,
  Plateau,
  parameter,
  rateFactor,
  scope,
  sgd,
  tensor,
} from 'vitune/tensor'
import { scaledGroups } from '../src/optim/optimizer.ts'
import { backends as all, near } from './grad-check.ts'
import { json, smallVit } from './small-vit.ts'

const facts = json('optimizers/values.json')

// Rates and the momentum reach every kernel in f32, 6e-8 off at most, and ten steps of SGD add that up. f32 also rounds
// each result.
const backends: [string, { adamw: number; sgd: number }, () => Promise<Backend>][] = [
  ['reference f64', { adamw: 1e-7, sgd: 5e-7 }, async () => createReference({ precision: 'f64' })],
  ...all.map(([name, make]): (typeof backends)[number] => [name, { adamw: 1e-6, sgd: 1e-6 }, make]),
]

type Walk = { options: Record<string, number>; start: number[]; gradients: number[][]; after_each_step: number[][] }

const make = {
  adamw: (p: Parameter, o: Walk['options']) =>
    adamw([{ params: [['p', p]], weightDecay: o.weight_decay! }], {
      betas: o.betas as unknown as [number, number],
      eps: o.eps!,
    }),
  sgd: (p: Parameter, o: Walk['options']) =>
    sgd([{ params: [['p', p]], weightDecay: o.weight_decay ?? 0 }], {
      momentum: o.momentum ?? 0,
      nesterov: Boolean(o.nesterov),
    }),
}

function advance(optimizer: Optimizer, p: Parameter, gradient: readonly number[], lr: number, scale?: number): void {
  scope(() => {
    const factor = scale === undefined ? undefined : tensor(p.backend, [scale], [1])
    optimizer.step(new Map([['p', tensor(p.backend, Float64Array.from(gradient), p.shape)]]), lr, factor)
  })
}

for (const [name, tolerance, start] of backends) {
  for (const kind of ['adamw', 'sgd'] as const) {
    test(`${kind} walks as PyTorch's does, scaled gradients and a restart included (${name})`, async () => {
      const backend = await start()
      for (const walk of facts[kind] as Walk[]) {
        const p = parameter(backend, Float64Array.from(walk.start), [walk.start.length])
        let optimizer = make[kind](p, walk.options)
        for (const [i, gradient] of walk.gradients.entries()) {
          if (i === 4) {
            // Another optimizer takes over with the saved moments and count.
            const { steps, tensors } = optimizer.state()
            const next = make[kind](p, walk.options)
            const saved = new Map(tensors)
            for (const [key, t] of next.state().tensors) t.assign(await saved.get(key)!.data())
            next.setSteps(steps)
            optimizer.dispose()
            optimizer = next
          }
          // Half the gradients come doubled, with a factor of a half.
          if (i % 2 === 0) advance(optimizer, p, gradient, walk.options.lr!)
          else
            advance(
              optimizer,
              p,
              gradient.map((g) => 2 * g),
              walk.options.lr!,
              0.5,
            )
          near(
            await p.data(),
            walk.after_each_step[i]!,
            tolerance[kind],
            `${kind} ${JSON.stringify(walk.options)} step ${i}`,
          )
        }
        assert.is(optimizer.state().steps, walk.gradients.length)
        optimizer.dispose()
        p.dispose()
      }
      assert.is(backend.memory().buffers, 0)
      await backend.dispose()
    })
  }

  test(`the clipping factor and norm are those of clip_grad_norm_ (${name})`, async () => {
    const backend = await start()
    for (const { limit, before, norm, after } of facts.clip_grad_norm) {
      const grads = before.map((g: number[]) => tensor(backend, Float64Array.from(g), [g.length]))
      const clipped = scope(() => clipFactor(grads, limit))
      near([await clipped.norm.item()], [norm], 1e-6, 'norm')
      const factor = await clipped.factor.item()
      for (const [i, g] of grads.entries()) {
        near(
          Array.from((await g.data()) as Float32Array, (v) => v * factor),
          after[i],
          1e-6,
          `clipped to ${limit}`,
        )
        g.dispose()
      }
      clipped.norm.dispose()
      clipped.factor.dispose()
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test('a zero gradient is not divided by its norm, and many gradients make one norm', async () => {
  const backend = createReference()
  const none = scope(() => clipFactor([tensor(backend, [0, 0], [2])], 1))
  assert.equal([await none.norm.item(), await none.factor.item()], [0, 1])
  const grads = Array.from({ length: 67 }, (_, i) => tensor(backend, [i, -i], [1, 2]))
  const many = scope(() => clipFactor(grads, 10))
  const norm = Math.sqrt(grads.reduce((total, _, i) => total + 2 * i * i, 0))
  near([await many.norm.item(), await many.factor.item()], [norm, 10 / norm], 1e-6, 'many')
  for (const t of [...Object.values(none), ...Object.values(many), ...grads]) t.dispose()
  assert.is(backend.memory().buffers, 0)
})

test('biases, norms and other vectors can be left undecayed', async () => {
  const backend = createReference()
  const make = (shape: number[]) => parameter(backend, new Float32Array(shape.reduce((a, b) => a * b)).fill(1), shape)
  const params: [string, Parameter][] = [
    ['weight', make([2, 2])],
    ['bias', make([2])],
    ['positions', make([1, 2])],
  ]
  assert.equal(
    decayGroups(params, 0.5, isVector).map(({ params, weightDecay }) => [weightDecay, params.map(([n]) => n)]),
    [
      [0.5, ['weight', 'positions']],
      [0, ['bias']],
    ],
  )
  assert.is(decayGroups(params, 0.5).length, 1)
  // Without a gradient only decay moves a weight: p (1 - lr decay).
  const optimizer = adamw(decayGroups(params, 0.5, isVector))
  const zero = params.map(([name, p]) => [name, tensor(backend, new Float32Array(p.size), p.shape)] as const)
  optimizer.step(new Map(zero), 0.1)
  assert.equal(await Promise.all(params.map(async ([, p]) => (await p.data())[0])), [
    Math.fround(0.95),
    1,
    Math.fround(0.95),
  ])
  // A parameter without a gradient at all stays, decay and all.
  optimizer.step(new Map(), 0.1)
  assert.is((await params[0]![1].data())[0], Math.fround(0.95))
  optimizer.dispose()
  for (const [, t] of [...params, ...zero]) t.dispose()
  assert.is(backend.memory().buffers, 0)
})

test('an optimizer of nothing is refused', () => {
  assert.throws(() => adamw([]), /^adamw: needs at least one trainable parameter, got none$/)
  assert.throws(() => sgd([{ params: [], weightDecay: 0 }]), /^sgd: needs at least one trainable parameter, got none$/)
})

test("warm-up, constant and cosine rates are Hugging Face's", () => {
  for (const { base_lr, options, lrs } of facts.cosine) {
    const { num_warmup_steps, num_training_steps } = options
    const got = lrs.map(
      (_: number, step: number) => base_lr * rateFactor('cosine', step, num_warmup_steps, num_training_steps),
    )
    near(got, lrs, 1e-12, 'cosine')
  }
  for (const { base_lr, options, lrs } of facts.constant) {
    near(
      lrs.map((_: number, step: number) => base_lr * rateFactor('constant', step, options.num_warmup_steps, 99)),
      lrs,
      1e-12,
      'constant',
    )
  }
})

for (const [name, tolerance, start] of backends) {
  test(`rates by layer walk as PyTorch's groups of such rates do (${name})`, async () => {
    const backend = await start()
    const stored = json('training/values.json').layer_decay
    for (const kind of ['adamw', 'sgd'] as const) {
      const { lr, weight_decay, scales, start, gradients, after_each_step } = stored[kind]
      const params = start.map((row: number[], i: number): [string, Parameter] => [
        `${i}`,
        parameter(backend, Float64Array.from(row), [row.length]),
      ]) as [string, Parameter][]
      const groups = scaledGroups(decayGroups(params, weight_decay), (name) => scales[Number(name)])
      assert.is(groups.length, 3)
      const optimizer = kind === 'adamw' ? adamw(groups) : sgd(groups)
      for (const [i, step] of gradients.entries()) {
        scope(() => {
          const grads = params.map(([name], j) => [name, tensor(backend, Float64Array.from(step[j]), [5])] as const)
          optimizer.step(new Map(grads), lr)
        })
        for (const [j, [, p]] of params.entries()) {
          near(await p.data(), after_each_step[i][j], tolerance[kind], `${kind} step ${i}`)
        }
      }
      optimizer.dispose()
      for (const [, p] of params) p.dispose()
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test("a ViT's depths give the scales of timm, but for the last norm, which BEiT counts with the head", () => {
  const { decay, blocks, scales } = json('training/values.json').layer_decay
  const backend = createReference()
  const model = smallVit(backend, { layers: blocks })
  const ours = Array.from(namedParameters(model), ([name]) => name)
  const deepest = blocks + 1
  const scaleOf = (name: string) => decay ** (deepest - model.depthOf(name))
  for (const [name, scale] of Object.entries<number>(scales)) {
    const part = /^(blocks\.\d+\.|head\.|norm\.)/.exec(name)?.[1]
    const same = part ? ours.filter((one) => one.startsWith(part)) : ['classToken', 'positions', 'patch.weight']
    assert.ok(same.length > 0 && same.every((one) => ours.includes(one)), name)
    near(
      same.map(scaleOf),
      same.map(() => (part === 'norm.' ? 1 : scale)),
      1e-12,
      name,
    )
  }
  disposeModule(model)
})

test("the rate falls on a plateau where PyTorch's does", () => {
  // Stored for a loss that should fall; ours wants a metric that should grow, and its threshold is relative: the inverse.
  const { options, base_lr, metrics, lrs_after } = facts.plateau[0]
  const plateau = new Plateau({ factor: options.factor, patience: options.patience })
  near(
    metrics.map((m: number) => base_lr * plateau.update(1 / m)),
    lrs_after,
    1e-12,
    'plateau',
  )
  // PyTorch's eps stops very small reductions there; ours ends at a least factor.
  const other = facts.plateau[3]
  const least = Math.min(...other.lrs_after) / other.base_lr
  const strict = new Plateau({ factor: other.options.factor, patience: 0, minFactor: least })
  near(
    other.metrics.map((m: number) => other.base_lr * strict.update(1 / m)),
    other.lrs_after,
    1e-12,
    'least factor',
  )
})

test('a plateau goes on from its saved numbers', () => {
  const metrics = [0.1, 0.5, 0.4, 0.4, 0.4, 0.4, 0.6, 0.6, 0.6, 0.6, 0.6, 0.5]
  const whole = new Plateau({ patience: 2 })
  const want = metrics.map((m) => whole.update(m))
  for (let stop = 0; stop < metrics.length; stop++) {
    const first = new Plateau({ patience: 2 })
    for (const m of metrics.slice(0, stop)) first.update(m)
    const { factor, best, bad } = JSON.parse(JSON.stringify(first))
    const second = Object.assign(new Plateau({ patience: 2 }), { factor, best, bad })
    assert.equal(
      metrics.slice(stop).map((m) => second.update(m)),
      want.slice(stop),
    )
  }
  assert.ok(want.at(-1)! < 1)
})

test.run()
