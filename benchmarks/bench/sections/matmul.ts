// Section matmul: products of the ViT shapes beside the peers' on one and on two threads, and against the multiply-add peak.
import type { Spec } from '../contender.ts'
import { type Bench, interleave, type Lane, lapOf, rowOf } from '../measure.ts'
import { multiplyAddPeak } from '../peak.ts'
import { ratioOf, type Section, section, spreadOf } from '../result.ts'
import { flopsOf, type Product, productName, products, target } from '../shapes.ts'

const threadsText = (n: number) => (n === 1 ? '1 thread' : `${n} threads`)

/** Products of about 25 ms and more a run. */
const withCalls = (all: readonly Product[]) =>
  all.map((product) => ({ ...product, calls: Math.max(1, Math.round(1e9 / flopsOf(product))) }))

/** What one configuration does: all products, each result read whole. */
function lanesOf(kind: Lane['kind'], who: string, spec: Partial<Spec>, of: readonly Product[]): Lane[] {
  const whole: Spec = { work: 'matmul', products: withCalls(of), read: true, threads: 1, ...spec }
  return of.map((product, index) => ({ kind, who, what: productName(product), spec: whole, index }))
}

/** Runs the section. */
export async function matmul(bench: Bench): Promise<Section> {
  const to = section('matmul', 'Matrix products (rows x inner x columns), each result read whole')
  const of = bench.quick ? products.slice(0, 4) : products
  const rounds = bench.quick ? 5 : 15
  const counts = bench.threads > 1 ? [1, bench.threads] : [1]
  const own = (threads: number, relaxed: boolean) => `vitune ${relaxed ? 'relaxed' : 'plain'}, ${threadsText(threads)}`
  const lanes = [
    ...counts.flatMap((threads) => [
      ...[true, false].flatMap((relaxed) => lanesOf('vitune', own(threads, relaxed), { threads, relaxed }, of)),
      ...lanesOf('onnx', `onnxruntime-web, ${threadsText(threads)}`, { threads }, of),
      ...lanesOf('onnx', `onnxruntime-node (native), ${threadsText(threads)}`, { threads, native: true }, of),
      ...lanesOf('pytorch', `PyTorch (native), ${threadsText(threads)}`, { threads }, of),
    ]),
    ...lanesOf('tfjs', 'tfjs-wasm, 1 thread', {}, of),
    ...lanesOf('jax', 'jax-js wasm, 1 thread', {}, of),
  ]
  // Products only, one number read at the end: what the kernel does of the peak.
  const kernelOnly = counts.flatMap((threads) =>
    [true, false].map((relaxed): Lane => {
      const spec: Spec = { work: 'matmul', products: [{ ...target, calls: 4 }], read: false, threads, relaxed }
      return { kind: 'vitune', who: own(threads, relaxed), what: `${productName(target)}, kernel only`, spec }
    }),
  )
  const laps = await interleave(bench, to, [...kernelOnly, ...lanes], { rounds, warm: 3 })
  const peaks: Partial<Record<'relaxed' | 'plain', number>> = {}
  for (const relaxed of [true, false]) {
    if (bench.signal.aborted) break
    bench.progress(`matmul: measuring the ${relaxed ? 'relaxed' : 'plain'} peak`)
    const peak = await multiplyAddPeak(relaxed, bench.quick ? 20 : 40)
    if (peak === undefined) continue
    peaks[relaxed ? 'relaxed' : 'plain'] = peak
    const what = 'multiply-add peak of one thread'
    to.rows.push({ what, who: relaxed ? 'relaxed' : 'plain', unit: 'GFLOP/s', more: true, spread: spreadOf([peak]) })
  }
  for (const lap of laps) {
    const { calls, ...product } = lap.spec.products![lap.index ?? 0]!
    to.rows.push(rowOf(lap, 'GFLOP/s', true, (ms) => (flopsOf(product) * calls) / ms / 1e6))
  }
  const name = productName(target)
  for (const threads of counts) {
    const peer = lapOf(laps, `onnxruntime-web, ${threadsText(threads)}`, name)
    for (const [relaxed, limit] of [
      [false, 1.6],
      [true, 1.8],
    ] as const) {
      const ours = lapOf(laps, own(threads, relaxed), name)
      if (!ours || !peer) continue
      const what = `${name}: ${own(threads, relaxed)}, as a multiple of onnxruntime-web's speed`
      to.checks.push({ what, value: ratioOf(peer.ms, ours.ms), limit, atMost: false, unit: 'x' })
    }
  }
  const alone = (threads: number, relaxed: boolean) => lapOf(laps, own(threads, relaxed), `${name}, kernel only`)
  for (const relaxed of [false, true]) {
    const [one, all] = [alone(1, relaxed), alone(bench.threads, relaxed)]
    const variant = relaxed ? 'relaxed' : 'plain'
    const peak = peaks[variant]
    if (one && peak !== undefined) {
      const rate = (4 * flopsOf(target)) / spreadOf(one.ms).median / 1e6
      const what = `${name}: ${variant}, share of the ${variant} multiply-add peak, 1 thread`
      to.checks.push({ what, value: (100 * rate) / peak, limit: relaxed ? 85 : 75, atMost: false, unit: '%' })
    }
    if (one && all && bench.threads === 2) {
      const what = `${name}: ${variant}, 2 threads as a multiple of one`
      to.checks.push({ what, value: ratioOf(one.ms, all.ms), limit: 1.85, atMost: false, unit: 'x' })
    }
  }
  return to
}
