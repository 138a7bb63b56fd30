// Every kernel of every backend against the f64 reference, on the shared list of cases.
// Buffers are longer than asked for and end in a sentinel, so that a write or a read past the end shows. Those of lists
// are not: their length is what the kernel goes by.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Backend,
  type Buf,
  type Bufs,
  createReference,
  type HostArray,
  type KernelName,
  kernels,
} from 'vitune/tensor'
import { kernelBackends as backends } from './backends.ts'
import { byList } from './kernel-cases/case.ts'
import { cases, type KernelCase, type Values } from './kernel-cases.ts'

const padding = 67
const sentinel = 12345
const names = Object.keys(kernels) as KernelName[]
const labels = Object.keys(backends)

/** The buffers that a call may leave out. */
function optional(kernel: KernelName): string[] {
  const slots: string[] = [...kernels[kernel].out, ...kernels[kernel].in]
  return slots.filter((slot) => slot.endsWith('?')).map((slot) => slot.slice(0, -1))
}

/** The first place where two arrays differ, NaN being NaN, or -1. Called on millions of numbers, few of them 0 or NaN. */
function differ(a: HostArray, b: HostArray): number {
  for (let j = 0; j < a.length; j++) if ((a[j] !== b[j] || a[j] === 0) && !Object.is(a[j], b[j])) return j
  return -1
}

/** A case's data with its padding, as one buffer is to hold it. What is only read ends in NaN, which would spoil a result. */
function padded(data: Float32Array | Int32Array | undefined, length: number, pad: number, written: boolean): HostArray {
  if (data instanceof Int32Array) {
    const full = new Int32Array(length + pad).fill(written ? sentinel : 2147483647)
    full.set(data)
    return full
  }
  const full = new Float32Array(length + pad).fill(written ? sentinel : Number.NaN)
  if (data) full.set(data)
  return full
}

const padOf = (name: string, pad: number) => (name.includes(':') ? 0 : pad)

/** Puts a case's buffers on a backend, runs it, checks the rest of memory, and gives back each output with its padding. */
async function run(backend: Backend, c: KernelCase, values: Values, pad: number): Promise<Record<string, HostArray>> {
  const bufs: Record<string, Buf> = {}
  const held = new Map<Buf, HostArray>()
  const hold = (data: HostArray): Buf => {
    const buf = backend.alloc(data.length, data instanceof Int32Array ? 'i32' : 'f32')
    backend.write(buf, data)
    held.set(buf, data)
    return buf
  }
  const guard = () => hold(new Float32Array(padding).fill(sentinel))
  guard()
  for (const name of new Set([...Object.keys(values), ...Object.keys(c.outputs)])) {
    const written = Object.keys(c.outputs).some((out) => out === name || c.same[out] === name)
    const length = values[name]?.length ?? c.outputs[name]!
    bufs[name] = bufs[c.same[name] ?? ''] ?? hold(padded(values[name], length, padOf(name, pad), written))
  }
  guard()
  backend.dispatch(c.kernel, byList(bufs) as unknown as Bufs<KernelName>, c.params as never)
  const after = new Map(await Promise.all([...held.keys()].map(async (buf) => [buf, await backend.read(buf)] as const)))
  const found = Object.fromEntries(Object.keys(c.outputs).map((name) => [name, after.get(bufs[name]!)!]))
  const outputs = new Set(Object.keys(c.outputs).map((name) => bufs[name]))
  for (const [buf, data] of held) {
    const at = outputs.has(buf) ? -1 : differ(data, after.get(buf)!)
    const who = Object.keys(bufs).find((name) => bufs[name] === buf) ?? 'a buffer beside its own'
    if (at >= 0) throw new Error(`${c.kernel} ${c.name}: changed ${who} at ${at}`)
    backend.free(buf)
  }
  return found
}

/** The worst element in units of the tolerance, and a line about it. */
function compare(c: KernelCase, name: string, got: HostArray, want: HostArray): { worst: number; line: string } {
  const { abs, rel, why } = c.tolerance
  const length = c.outputs[name]!
  let worst = 0
  let line = ''
  for (let j = 0; j < got.length; j++) {
    const g = got[j]!
    const w = j >= length ? sentinel : want instanceof Int32Array ? want[j]! : Math.fround(want[j]!)
    if (g === w || (Number.isNaN(g) && Number.isNaN(w))) continue
    const off = j < length ? Math.abs(g - w) / (abs + rel * Math.abs(w)) : Number.POSITIVE_INFINITY
    if (off <= worst) continue
    worst = Number.isNaN(off) ? Number.POSITIVE_INFINITY : off
    const where = j < length ? `${name}[${j}] of ${length}` : `${name}, ${j - length} past its end,`
    line = `${c.name}: ${where} is ${g}, reference ${w}, ${worst.toPrecision(3)} x tolerance (${why})`
  }
  return { worst, line }
}

test('every kernel of the table has cases, and no two cases have one name', () => {
  for (const name of names) {
    const own = cases.filter((c) => c.kernel === name).map((c) => c.name)
    assert.ok(own.length > 0, `${name} has no case`)
    assert.equal(
      own.filter((title, at) => own.indexOf(title) !== at),
      [],
      name,
    )
  }
})

interface Known {
  values: Values
  want: Record<string, HostArray>
  found: Record<string, Record<string, HostArray>>
}

/** `KERNEL with BUFFER` and `KERNEL without BUFFER`, for the optional buffers of the cases that have run. */
const seen = new Set<string>()

const started = new Map<string, Promise<Backend>>()
function start(label: string): Promise<Backend> {
  const backend = started.get(label) ?? backends[label]!.start()
  started.set(label, backend)
  return backend
}

for (const kernel of names) {
  const own = cases.filter((c) => c.kernel === kernel)
  // Inputs, results in f64, and results by backend: made once for all backends.
  const known = new Map<KernelCase, Known>()
  const know = async (c: KernelCase) => {
    const values = await c.values()
    const oracle = createReference({ precision: 'f64' })
    const entry: Known = { values, want: await run(oracle, c, values, 0), found: {} }
    assert.is(oracle.memory().buffers, 0)
    known.set(c, entry)
    const given = { ...values, ...c.outputs }
    for (const slot of optional(kernel)) seen.add(`${kernel} ${slot in given ? 'with' : 'without'} ${slot}`)
    return entry
  }
  for (const label of labels) {
    const here = own.filter((c) => !backends[label]!.leavesOut?.(c))
    test(`${label}: ${kernel} is the reference in ${here.length} cases, touches nothing else and leaves no buffer`, async () => {
      const backend = await start(label)
      const wrong: string[] = []
      for (const c of here) {
        const { values, want, found } = known.get(c) ?? (await know(c))
        const got = await run(backend, c, values, padding)
        found[label] = got
        const twin = found[backends[label]!.sameBitsAs ?? '']
        for (const name of Object.keys(c.outputs)) {
          const at = twin ? differ(got[name]!, twin[name]!) : -1
          if (at >= 0) wrong.push(`${c.name}: ${name}[${at}] is not what ${backends[label]!.sameBitsAs} gives`)
          const { worst, line } = compare(c, name, got[name]!, want[name]!)
          if (worst > 1) wrong.push(line)
        }
      }
      if (label === labels.at(-1)) known.clear()
      assert.is(backend.memory().buffers, 0)
      assert.ok(wrong.length === 0, `${wrong.length} outputs are wrong\n${wrong.slice(0, 12).join('\n')}`)
    })
  }
}

test('every optional buffer was given in one case and left out in another', () => {
  for (const kernel of names) {
    for (const slot of optional(kernel)) {
      assert.ok(seen.has(`${kernel} with ${slot}`), `${kernel} with ${slot}`)
      assert.ok(seen.has(`${kernel} without ${slot}`), `${kernel} without ${slot}`)
    }
  }
})

for (const label of labels) {
  test(`${label}: once disposed it holds no memory`, async () => {
    const backend = await start(label)
    await backend.dispose()
    assert.is(backend.memory().buffers, 0)
    assert.is(backend.memory().used, 0)
  })
}

test.run()
