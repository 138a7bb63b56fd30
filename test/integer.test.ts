// Products of codes on WASM by each way there is (caps.integer): the same bits, whoever multiplies and however many threads.
// The engine's own choice is tested with all other kernels (kernels.test.ts).
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Backend, createReference, createWasm, type HostArray, Rng, type WasmOptions } from 'vitune/tensor'

const words = (columns: number) => Math.ceil(columns / 4)

/** Codes within -most..most as words, rows padded with 0; every third is one of the largest. */
function codes(rng: Rng, rows: number, columns: number, most: number): Int32Array {
  const packed = new Int32Array(rows * words(columns))
  const bytes = new Int8Array(packed.buffer)
  for (let e = 0; e < rows * columns; e++) {
    const code = rng.below(2 * most + 1) - most
    bytes[Math.floor(e / columns) * 4 * words(columns) + (e % columns)] = e % 3 === 0 ? (code < 0 ? -most : most) : code
  }
  return packed
}

// Around tiles of 5 and 6 rows by 8 columns, words, blocks of 512 steps of four, two or one code, groups and blocks of panels.
const shapes = [
  [1, 1, 1],
  [1, 67, 33],
  [67, 1, 17],
  [3, 4, 4],
  [4, 3, 2],
  [5, 7, 3],
  [6, 8, 8],
  [7, 9, 5],
  [12, 16, 64],
  [13, 200, 29],
  [101, 67, 513],
  [11, 9, 1025],
  [13, 100, 2049],
  [4, 6, 4100],
  [7, 2100, 9],
  [403, 67, 130],
] as const
// What else an epilogue has the reference rounds once at its end.
const epilogues = [['bScale'], ['bScale', 'bias'], [], ['bias']]

type Values = Readonly<Record<string, HostArray>>
interface Call {
  readonly name: string
  readonly values: Values
  readonly params: { m: number; n: number; k: number; transB: number; alpha: number; act: number; accumulate: number }
}

function calls(): Call[] {
  const rng = new Rng(5)
  const normal = (length: number) => Float32Array.from({ length }, () => rng.normal())
  return shapes.flatMap(([m, n, k], i) =>
    [0, 1].map((transB) => {
      const given = epilogues[(i + transB) % epilogues.length]!
      const all = m * n
      const lengths: Record<string, number> = { bScale: n, bias: n, colScale: n, residual: all, gate: all }
      const values: Record<string, HostArray> = {
        a: codes(rng, m, k, 127),
        aScale: normal(m),
        b: transB === 1 ? codes(rng, n, k, 63) : codes(rng, k, n, 63),
      }
      for (const name of given) values[name] = normal(lengths[name]!)
      const params = { m, n, k, transB, alpha: i % 2 === 0 ? 1 : Math.fround(0.3), act: 0, accumulate: 0 }
      return { name: `${m} x ${n} x ${k}${transB ? ' B^T' : ''}, ${given.join(', ')}`, values, params }
    }),
  )
}

async function run(backend: Backend, { values, params }: Call): Promise<HostArray> {
  const put = (data: HostArray) => {
    const buf = backend.alloc(data.length, data instanceof Int32Array ? 'i32' : 'f32')
    backend.write(buf, data)
    return buf
  }
  const bufs = Object.fromEntries(Object.entries(values).map(([name, data]) => [name, put(data)]))
  const y = backend.alloc(params.m * params.n, 'f32')
  backend.dispatch('matmulI8', { y, ...bufs } as never, params)
  const result = await backend.read(y)
  for (const buf of [y, ...Object.values(bufs)]) backend.free(buf)
  return result
}

const made = calls()
const reference = createReference()
const wanted = await Promise.all(made.map((call) => run(reference, call)))

const ways: WasmOptions[] = [
  { threads: 1 },
  { threads: 1, disable: ['dot'] },
  { threads: 1, disable: ['dot', 'dot16'] },
  { threads: 1, disable: ['dot16'] },
  { threads: 1, disable: ['relaxed-simd'] },
  { threads: 1, disable: ['relaxed-simd', 'dot16'] },
  { threads: 2 },
  { threads: 3, disable: ['dot'] },
  { threads: 2, disable: ['dot', 'dot16'] },
]
for (const { threads, disable = [] } of ways) {
  test(`${threads} thread(s) without ${disable.join(', ') || 'nothing'} give the reference's bits`, async () => {
    const backend = await createWasm({ threads: threads!, disable })
    const { integer } = backend.caps
    assert.ok(integer && !disable.some((name) => name === integer), integer)
    if (disable.includes('relaxed-simd') || Number.parseInt(process.versions.v8, 10) < 12) assert.is.not(integer, 'dot')
    for (const [i, call] of made.entries()) {
      const got = await run(backend, call)
      const at = wanted[i]!.findIndex((value, j) => value !== got[j])
      assert.is(at, -1, `${integer}, ${call.name}: y[${at}] is ${got[at]}, not ${wanted[i]![at]}`)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test('the choice is made once, and is the same where the same is asked for', async () => {
  const one = await createWasm({ threads: 1 })
  const two = await createWasm({ threads: 1 })
  const first = one.caps.integer
  const start = performance.now()
  assert.is(two.caps.integer, first)
  assert.ok(performance.now() - start < 3)
  await one.dispose()
  await two.dispose()
})

test.run()
