// ONNX files written by hand: one matrix product, and a whole ViT for inference, in f32 or with weights of 8 bits. Just enough
// protobuf for these. Field numbers are those of onnx.proto3; operators are of opset 20, which has LayerNormalization and Gelu
// as one node each.
import { noise } from '../contenders/noise.mjs'

const FLOAT = 1
const INT8 = 3
const INT64 = 7

/** Bytes of a protobuf varint. */
function varint(value) {
  const out = []
  let rest = BigInt.asUintN(64, BigInt(value))
  do {
    const low = Number(rest & 127n)
    rest >>= 7n
    out.push(rest ? low | 128 : low)
  } while (rest)
  return out
}
const join = (parts) => Buffer.concat(parts)
const int = (field, value) => Buffer.from([...varint(field << 3), ...varint(value)])
const bytes = (field, body) => join([Buffer.from([...varint((field << 3) | 2), ...varint(body.length)]), body])
const text = (field, value) => bytes(field, Buffer.from(value))
const float = (field, value) => {
  const out = Buffer.alloc(5)
  out[0] = (field << 3) | 5
  out.writeFloatLE(value, 1)
  return out
}

function attribute(name, value) {
  const head = text(1, name)
  if (Array.isArray(value)) return join([head, ...value.map((v) => int(8, v)), int(20, 7)])
  if (Number.isInteger(value)) return join([head, int(3, value), int(20, 2)])
  return join([head, float(2, value.float), int(20, 1)])
}

function tensor(name, sizes, data) {
  const kind = data instanceof BigInt64Array ? INT64 : data instanceof Int8Array ? INT8 : FLOAT
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  return join([...sizes.map((n) => int(1, n)), int(2, kind), text(8, name), bytes(9, raw)])
}

function valueInfo(name, sizes) {
  const dims = join(sizes.map((n) => bytes(1, int(1, n))))
  return join([text(1, name), bytes(2, bytes(1, join([int(1, FLOAT), bytes(2, dims)])))])
}

/** A graph under construction: `add` appends a node and returns its output's name (or names), `constant` a weight's. */
function graph() {
  const nodes = []
  const weights = []
  let made = 0
  return {
    add(op, inputs, attributes = {}, name = `t${made++}`) {
      const given = Object.entries(attributes).map(([key, value]) => bytes(5, attribute(key, value)))
      const outputs = [name].flat().map((output) => text(2, output))
      nodes.push(join([...inputs.map((input) => text(1, input)), ...outputs, text(4, op), ...given]))
      return name
    },
    constant(sizes, data) {
      const name = `w${made++}`
      weights.push(tensor(name, sizes, data))
      return name
    },
    finish(inputs, outputs) {
      const body = join([
        ...nodes.map((node) => bytes(1, node)),
        text(2, 'bench'),
        ...weights.map((weight) => bytes(5, weight)),
        ...inputs.map(([name, sizes]) => bytes(11, valueInfo(name, sizes))),
        ...outputs.map(([name, sizes]) => bytes(12, valueInfo(name, sizes))),
      ])
      return join([int(1, 9), bytes(7, body), bytes(8, int(2, 20))])
    },
  }
}

/** y (m, n) = a (m, k) b (k, n). */
export function matmulModel({ m, k, n }) {
  const g = graph()
  g.add('MatMul', ['a', 'b'], {}, 'y')
  const inputs = [
    ['a', [m, k]],
    ['b', [k, n]],
  ]
  return g.finish(inputs, [['y', [m, n]]])
}

/**
 * x W + b with W in 8 bits, as onnxruntime's quantize_dynamic (its defaults for MatMul: one scale a weight, symmetric) writes it:
 * x is quantised by its own minimum and maximum to u8 where it comes in, once for all that read it.
 */
function integerLinears(g) {
  const known = new Map()
  return (x, sizes, values, bias) => {
    if (!known.has(x)) known.set(x, g.add('DynamicQuantizeLinear', [x], {}, [`${x}_q`, `${x}_scale`, `${x}_zero`]))
    const [codes, scale, zero] = known.get(x)
    const step = values.reduce((most, w) => Math.max(most, Math.abs(w)), 0) / 127
    const weight = g.constant(
      sizes,
      Int8Array.from(values, (w) => Math.round(w / step)),
    )
    const sums = g.add('MatMulInteger', [codes, weight, zero, g.constant([], Int8Array.of(0))])
    const scales = g.add('Mul', [scale, g.constant([], Float32Array.of(step))])
    return g.add('Add', [g.add('Mul', [g.add('Cast', [sums], { to: FLOAT }), scales]), bias])
  }
}

/**
 * A pre-norm ViT with random weights: images (B, 3, S, S) to logits (B, K), as PyTorch's exporter lays one out. With `int8` all
 * products by weights but the patches' are in 8 bits.
 */
export function vitModel({ shape, batch, int8 = false }) {
  const { image, patch, hidden: c, layers, heads, classes } = shape
  const g = graph()
  const next = noise(3)
  const weight = (...sizes) =>
    g.constant(
      sizes,
      next(
        sizes.reduce((a, b) => a * b, 1),
        0.02,
      ),
    )
  const full = (value, ...sizes) => g.constant(sizes, new Float32Array(sizes.reduce((a, b) => a * b, 1)).fill(value))
  const shapeOf = (...sizes) => g.constant([sizes.length], BigInt64Array.from(sizes, BigInt))
  const add = (a, b) => g.add('Add', [a, b])
  const integer = int8 ? integerLinears(g) : undefined
  const linear = (x, from, to) => {
    if (integer) return integer(x, [from, to], next(from * to, 0.02), full(0, to))
    return add(g.add('MatMul', [x, weight(from, to)]), full(0, to))
  }
  const norm = (x) => g.add('LayerNormalization', [x, full(1, c), full(0, c)], { axis: -1, epsilon: { float: 1e-6 } })
  const scaled = (x) => (shape.layerScale ? g.add('Mul', [x, full(1, c)]) : x)
  const side = image / patch
  const n = side * side + 1
  const split = (x, perm) => g.add('Transpose', [g.add('Reshape', [x, shapeOf(batch, n, heads, c / heads)])], { perm })

  const patches = g.add('Conv', ['images', weight(c, 3, patch, patch), full(0, c)], {
    kernel_shape: [patch, patch],
    strides: [patch, patch],
  })
  const rows = g.add('Transpose', [g.add('Reshape', [patches, shapeOf(batch, c, n - 1)])], { perm: [0, 2, 1] })
  const tokens = g.add('Concat', [weight(batch, 1, c), rows], { axis: 1 })
  let x = add(tokens, weight(1, n, c))
  for (let layer = 0; layer < layers; layer++) {
    const y = norm(x)
    const q = split(linear(y, c, c), [0, 2, 1, 3])
    const k = split(linear(y, c, c), [0, 2, 3, 1])
    const v = split(linear(y, c, c), [0, 2, 1, 3])
    const scores = g.add('Mul', [g.add('MatMul', [q, k]), full((c / heads) ** -0.5, 1)])
    const mixed = g.add('MatMul', [g.add('Softmax', [scores], { axis: -1 }), v])
    const heads2 = g.add('Reshape', [g.add('Transpose', [mixed], { perm: [0, 2, 1, 3] }), shapeOf(batch, n, c)])
    x = add(x, scaled(linear(heads2, c, c)))
    const wide = g.add('Gelu', [linear(norm(x), c, 4 * c)])
    x = add(x, scaled(linear(wide, 4 * c, c)))
  }
  const first = g.add('Gather', [norm(x), g.constant([], BigInt64Array.of(0n))], { axis: 1 })
  g.add('Identity', [linear(first, c, classes)], {}, 'logits')
  return g.finish([['images', [batch, 3, image, image]]], [['logits', [batch, classes]]])
}
