// TensorFlow.js with its WASM or WebGPU backend: matrix products, and a ViT written with its ops, trained by its Adam.
// `spec.load` gives the modules; Node and a page find them in different ways.
import { batchOf, noise } from '../contenders/noise.mjs'

/** A ViT: `logits(images)`, and the variables that the method trains. Matrices are kept as (in, out). */
function vit(tf, { shape, method }) {
  const { image, patch, hidden: c, layers, heads, classes } = shape
  const next = noise(3)
  const trainable = []
  const value = (sizes, deviation, trained) => {
    const made = tf.tensor(
      next(
        sizes.reduce((a, b) => a * b, 1),
        deviation,
      ),
      sizes,
    )
    if (!trained && method !== 'full') return made
    const variable = tf.variable(made)
    trainable.push(variable)
    return variable
  }
  const zeros = (sizes) => (method === 'full' ? value(sizes, 0) : tf.zeros(sizes))
  const ones = (sizes) => (method === 'full' ? tf.variable(tf.ones(sizes)) : tf.ones(sizes))
  const layer = (from, to, adapted, trained) => {
    const w = value([from, to], 0.02, trained)
    const b = trained ? value([to], 0, true) : zeros([to])
    if (!adapted || method !== 'lora') return (x) => tf.add(tf.matMul(x, w), b)
    const down = value([from, 8], 0.02, true)
    const up = value([8, to], 0.001, true)
    return (x) => tf.add(tf.add(tf.matMul(x, w), b), tf.matMul(tf.matMul(x, down), up))
  }
  const norm = () => {
    const [w, b] = [ones([c]), zeros([c])]
    return (x) => {
      const { mean, variance } = tf.moments(x, -1, true)
      return tf.add(tf.mul(tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-6))), w), b)
    }
  }
  const gelu = (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1))
  const side = image / patch
  const n = side * side + 1
  const filter = value([patch, patch, 3, c], 0.02)
  const cls = value([1, 1, c], 0.02)
  const positions = value([1, n, c], 0.02)
  const blocks = Array.from({ length: layers }, () => ({
    norm1: norm(),
    q: layer(c, c, true),
    k: layer(c, c),
    v: layer(c, c, true),
    o: layer(c, c),
    scale1: shape.layerScale ? ones([c]) : undefined,
    norm2: norm(),
    fc1: layer(c, 4 * c),
    fc2: layer(4 * c, c),
    scale2: shape.layerScale ? ones([c]) : undefined,
  }))
  const last = norm()
  const head = layer(c, classes, false, true)
  const scaled = (x, scale) => (scale ? tf.mul(x, scale) : x)
  /** Logits (B, K) of images (B, S, S, 3). */
  const logits = (images) => {
    const b = images.shape[0]
    const patches = tf.reshape(tf.conv2d(images, filter, patch, 'valid'), [b, n - 1, c])
    let x = tf.reshape(tf.add(tf.concat([tf.tile(cls, [b, 1, 1]), patches], 1), positions), [b * n, c])
    const split = (y) => tf.transpose(tf.reshape(y, [b, n, heads, c / heads]), [0, 2, 1, 3])
    for (const block of blocks) {
      const y = block.norm1(x)
      const [q, k, v] = [split(block.q(y)), split(block.k(y)), split(block.v(y))]
      const scores = tf.mul(tf.matMul(q, k, false, true), (c / heads) ** -0.5)
      const mixed = tf.reshape(tf.transpose(tf.matMul(tf.softmax(scores), v), [0, 2, 1, 3]), [b * n, c])
      x = tf.add(x, scaled(block.o(mixed), block.scale1))
      x = tf.add(x, scaled(block.fc2(gelu(block.fc1(block.norm2(x)))), block.scale2))
    }
    const first = tf.reshape(tf.slice(tf.reshape(last(x), [b, n, c]), [0, 0, 0], [b, 1, c]), [b, c])
    return head(first)
  }
  return { logits, trainable }
}

/** Opens what `spec` describes. */
export async function open(spec, modules) {
  const { tf, versions } = modules ?? (await inNode())
  if (!modules) await tf.setBackend('wasm')
  await tf.ready()
  const runs = []
  if (spec.work === 'matmul') {
    for (const { m, k, n, calls } of spec.products) {
      const next = noise()
      const [a, b] = [tf.tensor(next(m * k, 1), [m, k]), tf.tensor(next(k * n, 1), [k, n])]
      runs.push(async () => {
        let all
        for (let i = 0; i < calls; i++) {
          const y = tf.matMul(a, b)
          all = await y.data()
          y.dispose()
        }
        return all.at(-1)
      })
    }
  } else {
    const { logits, trainable } = vit(tf, spec)
    const { images, labels } = batchOf(spec)
    const { image, classes } = spec.shape
    const input = tf.tidy(() => tf.transpose(tf.tensor(images, [spec.batch, 3, image, image]), [0, 2, 3, 1]))
    const oneHot = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), classes), 'float32'))
    const optimizer = tf.train.adam(1e-4)
    // The cross entropy of its own losses has no gradient kernel on WASM; this is the same value.
    const loss = () => tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits(input)), oneHot), -1)))
    const read = async (made) => {
      const values = await made.data()
      made.dispose()
      return values.at(-1)
    }
    if (spec.method === 'forward') runs.push(() => read(tf.tidy(() => logits(input))))
    else runs.push(() => read(optimizer.minimize(loss, true, trainable)))
  }
  return { versions, run: (i) => runs[i]() }
}

async function inNode() {
  const { createRequire } = await import('node:module')
  const { dirname, join } = await import('node:path')
  const require = createRequire(import.meta.url)
  // The build for browsers: the one for Node polls with a message channel that never lets go.
  const tf = require('@tensorflow/tfjs')
  const wasm = require('@tensorflow/tfjs-backend-wasm')
  wasm.setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist/'))
  return { tf, versions: { '@tensorflow/tfjs-backend-wasm': wasm.version_wasm } }
}
