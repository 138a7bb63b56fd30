// What tests of operations and of the tape share: gradients by central differences in f64, and a backend that counts.
import * as assert from 'uvu/assert'
import {
  type Backend,
  type Bufs,
  createReference,
  createWasm,
  type KernelName,
  kernels,
  mul,
  type Params,
  Rng,
  reshape,
  scope,
  sum,
  type Tensor,
  tensor,
  valueAndGrad,
} from 'vitune/tensor'

/** Backends that must agree, with their names. */
export const backends: [string, () => Promise<Backend>][] = [
  ['reference', async () => createReference()],
  ['wasm', () => createWasm({ threads: 1 })],
  ['wasm, 2 threads', () => createWasm({ threads: 2 })],
]

/** An input of a function under test: its shape, and values or what bounds random ones. */
export interface Input {
  shape: readonly number[]
  data?: readonly number[]
  /** Bounds of the absolute values; the sign is random unless `positive`. */
  from?: number
  to?: number
  positive?: boolean
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** The same numbers on each call with the same arguments. */
export function numbers({ shape, data, from = 0.2, to = 1.5, positive = false }: Input, seed = 0): Float64Array {
  if (data) return Float64Array.from(data)
  const rng = new Rng(seed, 77)
  const sign = () => (positive || rng.uniform() < 0.5 ? 1 : -1)
  return Float64Array.from({ length: sizeOf(shape) }, () => sign() * (from + (to - from) * rng.uniform()))
}

/** Throws unless |got - want| <= tolerance (1 + |want|) everywhere. */
export function near(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number, what: string): void {
  assert.is(got.length, want.length, `${what}: length`)
  for (let i = 0; i < want.length; i++) {
    const off = Math.abs(got[i]! - want[i]!)
    assert.ok(off <= tolerance * (1 + Math.abs(want[i]!)), `${what}: [${i}] is ${got[i]}, expected ${want[i]}`)
  }
}

/** The values of tensors, which it frees. */
export async function take(tensors: readonly Tensor[]): Promise<ArrayLike<number>[]> {
  const values = await Promise.all(tensors.map((t) => t.data()))
  for (const t of tensors) t.dispose()
  return values
}

const step = 1e-5

/**
 * Compares the gradients of `fn`, a function of the tensors `xs` on the f64 reference, with central differences (error
 * about 1e-9), then trains every subset of them alone: each gradient must stay what it was, and no buffer may be left.
 */
export async function checkTensors(what: string, fn: () => Tensor, xs: readonly Tensor[]): Promise<void> {
  const { backend } = xs[0]!
  const { buffers } = backend.memory()
  const weigh = (y: Tensor): Float64Array => numbers({ shape: y.shape }, 99)
  const project = () => {
    const y = fn()
    return sum(mul(reshape(y, [y.size]), tensor(backend, weigh(y), [y.size])), 0)
  }
  const value = async (): Promise<number> => {
    const y = scope(fn)
    const weights = weigh(y)
    const data = await y.data()
    if (!xs.includes(y)) y.dispose()
    return weights.reduce((total, w, i) => total + w * data[i]!, 0)
  }
  const gradients = async (params: Tensor[]) => {
    const { value, grads } = valueAndGrad(project, params)
    value.dispose()
    return take(grads)
  }
  const all = await gradients([...xs])
  for (const [at, x] of xs.entries()) {
    const moved = (await x.data()).slice()
    const want = new Float64Array(moved.length)
    for (let i = 0; i < moved.length; i++) {
      const here = moved[i]!
      moved[i] = here + step
      x.assign(moved)
      const up = await value()
      moved[i] = here - step
      x.assign(moved)
      want[i] = (up - (await value())) / (2 * step)
      moved[i] = here
    }
    x.assign(moved)
    near(all[at]!, want, 1e-7, `${what}: gradient of input ${at}`)
  }
  for (let subset = 1; subset < 2 ** xs.length - 1; subset++) {
    const chosen = xs.map((_, i) => i).filter((i) => (subset >> i) % 2 === 1)
    const alone = await gradients(chosen.map((i) => xs[i]!))
    // A fused epilogue may round differently where a scale is frozen.
    chosen.forEach((i, at) => {
      near(alone[at]!, all[i]!, 1e-12, `${what}: gradient of input ${i} when only ${chosen} train`)
    })
  }
  assert.is(backend.memory().buffers, buffers, `${what}: buffers left`)
}

/** The same for a function of fresh tensors. */
export async function checkGradients(what: string, fn: (...xs: Tensor[]) => Tensor, inputs: Input[]): Promise<void> {
  const backend = createReference({ precision: 'f64' })
  const xs = inputs.map((input, i) => tensor(backend, numbers(input, i + 1), input.shape))
  await checkTensors(what, () => fn(...xs), xs)
  for (const x of xs) x.dispose()
}

/** A backend that works as it did and notes what it is asked. */
export interface Counted {
  backend: Backend
  /** Kernels in the order in which they were queued. */
  calls: { kernel: KernelName; outputs: string[] }[]
  /** Lengths of all buffers that were asked for. */
  allocated: number[]
  /** Called before each dispatch; may throw. */
  onDispatch: (kernel: KernelName) => void
  /** Called before each allocation; may throw. */
  onAlloc: () => void
  reset(): void
}

/** Wraps a backend to count; everything still runs on the one inside. */
export function counted(inner: Backend): Counted {
  const self: Counted = {
    calls: [],
    allocated: [],
    onDispatch: () => {},
    onAlloc: () => {},
    reset() {
      self.calls.length = 0
      self.allocated.length = 0
    },
    backend: {
      ...inner,
      alloc(length, dtype) {
        self.onAlloc()
        self.allocated.push(length)
        return inner.alloc(length, dtype)
      },
      dispatch<K extends KernelName>(kernel: K, bufs: Bufs<K>, params: Params<K>) {
        self.onDispatch(kernel)
        const outputs = (kernels[kernel].out as readonly string[]).map((name) => name.replace(/[?*]/, ''))
        const given = bufs as Readonly<Record<string, unknown>>
        self.calls.push({ kernel, outputs: outputs.filter((name) => given[name] !== undefined) })
        inner.dispatch(kernel, bufs, params)
      },
    },
  }
  return self
}
