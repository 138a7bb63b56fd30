// The wasm backend's vectors of 256 bits, which V8 makes in Node 24 and later on x64 processors that have them: the same bits as
// without, whatever the sizes. Elsewhere they are off, and nothing is said about it.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Backend, type Bufs, createWasm, type KernelName, type Params, Rng } from 'vitune/tensor'

interface Call<K extends KernelName = KernelName> {
  readonly kernel: K
  readonly params: Params<K>
  /** Lengths of the buffers by name. */
  readonly lengths: Readonly<Record<string, number>>
  readonly outputs: readonly string[]
}

function product(
  m: number,
  n: number,
  k: number,
  params: Partial<Params<'matmul'>>,
  more: Record<string, number> = {},
) {
  const none = { transA: 0, transB: 0, strideA: 0, strideB: 0, alpha: 0.5, act: 0, accumulate: 0, format: 0, block: 0 }
  return {
    kernel: 'matmul',
    params: { batch: 1, m, n, k, ...none, ...params },
    lengths: { y: m * n, a: m * k, b: n * k, ...more },
    outputs: ['y', ...('slope' in more ? ['slope'] : [])],
  } as Call
}

function attentions(b: number, n: number, d: number): Call[] {
  const h = 2
  const size = b * n * h * d
  const given = { q: size, k: size, v: size, o: size, lse: b * h * n }
  const params = { b, n, h, d, scale: 0.3 }
  return [
    { kernel: 'attention', params, lengths: given, outputs: ['o', 'lse'] },
    {
      kernel: 'attentionGrad',
      params,
      lengths: { ...given, do: size, dq: size, dk: size, dv: size },
      outputs: ['dq', 'dk', 'dv'],
    },
  ]
}

// Sizes on both sides of a panel's rows (6) and columns (8 and 16), of a block of the inner size (512) and of query rows (16, 128).
const calls: Call[] = [
  ...[1, 8, 15, 16, 17, 24, 31, 33, 48].flatMap((n) => [
    product(13, n, 37, { transB: 1, act: 1 }, { bias: n, slope: 13 * n }),
    product(6, n, 5, { act: 2 }, { residual: 6 * n, colScale: n }),
    product(41, n, 513, { transA: 1, accumulate: 1 }, { gate: 41 * n, kScale: 513 }),
  ]),
  ...[1, 2, 511, 512, 1025].map((k) => product(100, 72, k, { transB: 1 }, { bias: 72 })),
  product(203, 2100, 600, {}, { bias: 2100 }),
  product(19, 37, 23, { batch: 5, strideA: 437, strideB: 851 }, { y: 5 * 703, a: 5 * 437, b: 5 * 851 }),
  ...[1, 7, 16, 17, 32, 33, 128, 129, 257].flatMap((n) => attentions(1, n, 20)),
  ...[1, 15, 16, 17, 64].flatMap((d) => attentions(3, 50, d)),
]

async function results(backend: Backend): Promise<Int32Array[]> {
  const found: Int32Array[] = []
  for (const [seed, { kernel, params, lengths, outputs }] of calls.entries()) {
    const rng = new Rng(seed)
    const made = Object.entries(lengths).map(([name, length]) => {
      const buf = backend.alloc(length, 'f32')
      backend.write(
        buf,
        Float32Array.from({ length }, () => 4 * rng.uniform() - 2),
      )
      return [name, buf] as const
    })
    const bufs = Object.fromEntries(made)
    backend.dispatch(kernel, bufs as unknown as Bufs<KernelName>, params as never)
    for (const name of outputs) found.push(new Int32Array((await backend.read(bufs[name]!)).buffer))
    for (const [, buf] of made) backend.free(buf)
  }
  assert.is(backend.memory().buffers, 0)
  return found
}

const probe = await createWasm({ threads: 1 })
const wide = probe.caps.wide === true
await probe.dispose()

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  test('before Node 24 vectors have 128 bits, and no note speaks of it', async () => {
    assert.not(wide)
    for (const disable of [[], ['wide']] as const) {
      const backend = await createWasm({ threads: 1, disable })
      assert.is(backend.caps.wide, false)
      assert.equal(backend.caps.notes, [])
      await backend.dispose()
    }
  })
}

if (wide) {
  test('vectors of 256 bits are switched off by name, and a note says so', async () => {
    const backend = await createWasm({ threads: 1, disable: ['wide'] })
    assert.is(backend.caps.wide, false)
    assert.is(backend.caps.relaxedSimd, true)
    assert.equal(backend.caps.notes, ['vectors of 256 bits are switched off by option'])
    await backend.dispose()
  })

  for (const threads of [1, 3]) {
    test(`${threads} thread(s): products and attention are the same bits in vectors of 128 and 256 bits`, async () => {
      const [here, ordinary] = [await createWasm({ threads }), await createWasm({ threads, disable: ['wide'] })]
      assert.is(here.caps.wide, true)
      const [found, expected] = [await results(here), await results(ordinary)]
      for (const [i, bits] of found.entries())
        assert.ok(
          bits.every((word, j) => word === expected[i]![j]),
          `output ${i}`,
        )
      await here.dispose()
      await ordinary.dispose()
    })
  }
}

test.run()
