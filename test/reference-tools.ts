// What the tests of the reference backend share: running one kernel on plain lists in f64, and comparing.
import * as assert from 'uvu/assert'
import { type Backend, type Buf, type Bufs, createReference, type KernelName, type Params, Rng } from 'vitune/tensor'
import { byList } from './kernel-cases/case.ts'

/** Buffers by name. */
export type Numbers = Record<string, readonly number[]>

/** The backend that `run` uses. */
export const f64 = createReference({ precision: 'f64' })
const integers = new Set(['target', 'index', 'seed'])

function place(backend: Backend, values: Numbers): Record<string, Buf> {
  const bufs: Record<string, Buf> = {}
  for (const [name, list] of Object.entries(values)) {
    const ints = integers.has(name)
    const buf = backend.alloc(list.length, ints ? 'i32' : 'f32')
    backend.write(buf, ints ? Int32Array.from(list) : Float64Array.from(list))
    bufs[name] = buf
  }
  return bufs
}

/** Runs a kernel in f64. `out` gives the length of each output that has no starting value. */
export async function run<K extends KernelName>(
  kernel: K,
  values: Numbers,
  out: Record<string, number>,
  params: Params<K>,
): Promise<Record<string, number[]>> {
  const bufs = place(f64, values)
  for (const [name, length] of Object.entries(out)) bufs[name] = f64.alloc(length, 'f32')
  f64.dispatch(kernel, byList(bufs) as unknown as Bufs<K>, params)
  const found: Record<string, number[]> = {}
  for (const [name, buf] of Object.entries(bufs)) found[name] = Array.from(await f64.read(buf))
  for (const buf of Object.values(bufs)) f64.free(buf)
  return found
}

/** Throws unless each |got - want| <= tolerance (1 + |want|). */
export function near(got: readonly number[], want: readonly number[], tolerance: number, what: string): void {
  assert.is(got.length, want.length, what)
  got.forEach((g, j) => {
    const off = Math.abs(g - want[j]!)
    assert.ok(off <= tolerance * (1 + Math.abs(want[j]!)), `${what}: [${j}] is ${g}, expected ${want[j]}`)
  })
}

const rng = new Rng(11)
export const normals = (n: number, scale = 1, shift = 0) =>
  Array.from({ length: n }, () => shift + scale * rng.normal())

export const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, j) => sum + v * b[j]!, 0)

/** copy of one element; a test spreads its own dimensions over it. */
export const noWalk = {
  d0: 1,
  d1: 1,
  d2: 1,
  d3: 1,
  d4: 1,
  d5: 1,
  ys0: 0,
  ys1: 0,
  ys2: 0,
  ys3: 0,
  ys4: 0,
  ys5: 0,
  xs0: 0,
  xs1: 0,
  xs2: 0,
  xs3: 0,
  xs4: 0,
  xs5: 0,
  yo: 0,
  xo: 0,
  accumulate: 0,
}
