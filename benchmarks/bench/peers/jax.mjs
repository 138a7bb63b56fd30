// jax-js with its WASM or WebGPU backend: matrix products, and a ViT with AdamW. The forward pass is one `jit`; the training
// step is not, since fusing it computes GELU's gradient again for every element of the next product: three times slower.
// Every op consumes its operands; `.ref` is for one more use.
import { blockUntilReady, defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax'
import { batchOf, noise } from '../contenders/noise.mjs'

/** Weights of a ViT: what the method trains, and the rest. Matrices are (in, out). */
function weights({ shape, method }) {
  const { image, patch, hidden: c, layers, classes } = shape
  const next = noise(3)
  const value = (sizes, deviation = 0.02) =>
    np.array(
      next(
        sizes.reduce((a, b) => a * b, 1),
        deviation,
      ),
      { shape: sizes },
    )
  const linear = (from, to) => ({ w: value([from, to]), b: np.zeros([to]) })
  const norm = () => ({ w: np.ones([c]), b: np.zeros([c]) })
  const adapter = () => ({ down: value([c, 8]), up: value([8, c], 0.001) })
  const head = linear(c, classes)
  const body = {
    patch: linear(3 * patch * patch, c),
    cls: value([1, 1, c]),
    positions: value([1, (image / patch) ** 2 + 1, c]),
    last: norm(),
    blocks: Array.from({ length: layers }, () => ({
      norm1: norm(),
      q: linear(c, c),
      k: linear(c, c),
      v: linear(c, c),
      o: linear(c, c),
      norm2: norm(),
      fc1: linear(c, 4 * c),
      fc2: linear(4 * c, c),
    })),
  }
  if (method === 'full') return { train: { head, body }, frozen: {} }
  const adapters = method === 'lora' ? body.blocks.map(() => ({ q: adapter(), v: adapter() })) : []
  return { train: { head, adapters }, frozen: { body } }
}

/** Logits (B, K) of images (B, 3, S, S); consumes all. */
function logits({ head, body, adapters = [] }, images, { shape, batch }) {
  const { image, patch: p, hidden: c, heads } = shape
  const side = image / p
  const n = side * side + 1
  const linear = (x, { w, b }) => np.matmul(x, w).add(b)
  const adapted = (x, layer, extra) => {
    if (!extra) return linear(x, layer)
    return linear(x.ref, layer).add(np.matmul(np.matmul(x, extra.down), extra.up))
  }
  const norm = (x, { w, b }) => nn.standardize(x, -1, { epsilon: 1e-6 }).mul(w).add(b)
  const patches = np
    .transpose(images.reshape([batch, 3, side, p, side, p]), [0, 2, 4, 1, 3, 5])
    .reshape([batch * (n - 1), 3 * p * p])
  const rows = linear(patches, body.patch).reshape([batch, n - 1, c])
  const tokens = np.concatenate([np.broadcastTo(body.cls, [batch, 1, c]), rows], 1)
  let x = tokens.add(body.positions).reshape([batch * n, c])
  const split = (y, order = [0, 2, 1, 3]) => np.transpose(y.reshape([batch, n, heads, c / heads]), order)
  for (const [i, block] of body.blocks.entries()) {
    const y = norm(x.ref, block.norm1)
    const q = split(adapted(y.ref, block.q, adapters[i]?.q))
    const k = split(linear(y.ref, block.k), [0, 2, 3, 1])
    const v = split(adapted(y, block.v, adapters[i]?.v))
    // Its own dotProductAttention is the same two products, by an einsum that needs Node 22.
    const weights = nn.softmax(np.matmul(q, k).mul((c / heads) ** -0.5))
    const mixed = np.transpose(np.matmul(weights, v), [0, 2, 1, 3]).reshape([batch * n, c])
    x = x.add(linear(mixed, block.o))
    const wide = nn.gelu(linear(norm(x.ref, block.norm2), block.fc1), { approximate: false })
    x = x.add(linear(wide, block.fc2))
  }
  const first = norm(x, body.last).reshape([batch, n, c]).slice([], 0)
  return linear(first, head)
}

/** One AdamW update of a leaf: the new weight and moments. */
function adamw(p, g, m, v, rate1, rate2) {
  const m1 = m.mul(0.9).add(g.ref.mul(0.1))
  const v1 = v.mul(0.999).add(np.square(g).mul(0.001))
  const step = m1.ref.mul(rate1).div(np.sqrt(v1.ref.mul(rate2)).add(1e-8))
  return [p.mul(1 - 1e-4 * 0.05).sub(step.mul(1e-4)), m1, v1]
}

function vitRun(spec) {
  const { train, frozen } = weights(spec)
  const { images, labels } = batchOf(spec)
  const { image, classes } = spec.shape
  const input = np.array(images, { shape: [spec.batch, 3, image, image] })
  const hot = new Float32Array(spec.batch * classes)
  for (const [i, label] of labels.entries()) hot[i * classes + label] = 1
  const oneHot = np.array(hot, { shape: [spec.batch, classes] })
  const merged = (some, others) => ({ ...others, ...some })
  if (spec.method === 'forward') {
    const forward = jit((some, others, x) => logits(merged(some, others), x, spec))
    return async () => (await forward(tree.ref(train), tree.ref(frozen), input.ref).data()).at(-1)
  }
  const loss = (some, others, x, y) =>
    np.mean(np.sum(nn.logSoftmax(logits(merged(some, others), x, spec)).mul(y), -1)).neg()
  const step = (some, m, v, rate1, rate2, others, x, y) => {
    const [value, gradient] = valueAndGrad(loss)(tree.ref(some), others, x, y)
    const [ps, shape] = tree.flatten(some)
    const [gs, ms, vs] = [gradient, m, v].map((one) => tree.leaves(one))
    const made = ps.map((p, i) => adamw(p, gs[i], ms[i], vs[i], rate1, rate2))
    return [
      value,
      ...[0, 1, 2].map((part) =>
        tree.unflatten(
          shape,
          made.map((leaf) => leaf[part]),
        ),
      ),
    ]
  }
  let now = [train, tree.map((p) => np.zerosLike(p.ref), train), tree.map((p) => np.zerosLike(p.ref), train)]
  let steps = 0
  return async () => {
    steps++
    const rates = [1 / (1 - 0.9 ** steps), 1 / (1 - 0.999 ** steps)]
    const [value, ...next] = step(...now, ...rates, tree.ref(frozen), input.ref, oneHot.ref)
    now = next
    const read = await value.data()
    await blockUntilReady(now)
    return read.at(-1)
  }
}

/** Opens what `spec` describes on `spec.device`, default wasm. */
export async function open(spec, versions) {
  const device = spec.device ?? 'wasm'
  await init(device)
  defaultDevice(device)
  const runs = []
  if (spec.work === 'matmul') {
    for (const { m, k, n, calls } of spec.products) {
      const next = noise()
      const [a, b] = [np.array(next(m * k, 1), { shape: [m, k] }), np.array(next(k * n, 1), { shape: [k, n] })]
      const product = jit((x, y) => np.matmul(x, y))
      runs.push(async () => {
        let all
        for (let i = 0; i < calls; i++) all = await product(a.ref, b.ref).data()
        return all.at(-1)
      })
    }
  } else runs.push(vitRun(spec))
  return { versions: versions ?? (await inNode()), run: (i) => runs[i]() }
}

async function inNode() {
  const { readFileSync } = await import('node:fs')
  const file = new URL('../package.json', import.meta.resolve('@jax-js/jax'))
  return { '@jax-js/jax': JSON.parse(readFileSync(file, 'utf8')).version }
}
