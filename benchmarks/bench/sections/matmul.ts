// Section matmul: products of the ViT shapes beside the peers' on one and on two threads, and against the multiply-add peak.
import type { Spec } from '../contender.ts'
import { type Bench, interleave, type Lane, lapOf, rowOf, torchLanes } from '../measure.ts'
import { peakFlops, peakModule, peakRounds } from '../peak.ts'
import { ratioOf, type Section, section } from '../result.ts'
import { flopsOf, type Product, productName, products, target } from '../shapes.ts'

const threadsText = (n: number) => (n === 1 ? '1 thread' : `${n} threads`)

const PEAK = 'multiply-add peak of one thread'
const peakOf = (relaxed: boolean) => (relaxed ? 'relaxed' : 'plain')

/** Products of about 25 ms and more a run. */
const withCalls = (all: readonly Product[]) =>
  all.map((product) => ({ ...product, calls: Math.max(1, Math.round(1e9 / flopsOf(product))) }))

/** What one configuration does: all products, each result read whole. */
function workOf(spec: Partial<Spec>, of: readonly Product[]) {
  const whole: Spec = { work: 'matmul', products: withCalls(of), read: true, threads: 1, ...spec }
  return of.map((product, index) => ({ what: productName(product), spec: whole, index }))
}
const lanesOf = (kind: Lane['kind'], who: string, ...work: Parameters<typeof workOf>): Lane[] =>
  workOf(...work).map((lane) => ({ kind, who, ...lane }))

/** Runs the section. */
export async function matmul(bench: Bench): Promise<Section> {
  const to = section('matmul', 'Matrix products (rows x inner x columns), each result read whole')
  const of = bench.quick ? products.slice(0, 4) : products
  const rounds = bench.quick ? 9 : 15
  const counts = bench.threads > 1 ? [1, bench.threads] : [1]
  const own = (threads: number, relaxed: boolean) => `vitune ${relaxed ? 'relaxed' : 'plain'}, ${threadsText(threads)}`
  const lanes = [
    ...counts.flatMap((threads) => [
      ...[true, false].flatMap((relaxed) => lanesOf('vitune', own(threads, relaxed), { threads, relaxed }, of)),
      ...lanesOf('onnx', `onnxruntime-web, ${threadsText(threads)}`, { threads }, of),
      ...lanesOf('onnx', `onnxruntime-node (native), ${threadsText(threads)}`, { threads, native: true }, of),
      ...workOf({ threads }, of)
        .flatMap((lane) => torchLanes(bench, lane))
        .map((lane) => ({ ...lane, who: `${lane.who}, ${threadsText(threads)}` })),
    ]),
    ...lanesOf('tfjs', 'tfjs-wasm, 1 thread', {}, of),
    ...lanesOf('jax', 'jax-js wasm, 1 thread', {}, of),
  ]
  // What is compared is measured side by side: all contenders at one product, then at the next.
  lanes.sort((a, b) => a.index! - b.index!)
  // Products only, one number read at the end: what the kernel does of the peak, and the peak itself in the same rounds.
  const kernelOnly = [true, false].flatMap((relaxed): Lane[] => {
    const module = Buffer.from(peakModule(relaxed)).toString('base64')
    const peak: Spec = { work: 'peak', threads: 1, module, rounds: peakRounds }
    return [
      { kind: 'vitune', who: peakOf(relaxed), what: PEAK, spec: peak },
      ...counts.map((threads): Lane => {
        const spec: Spec = { work: 'matmul', products: [{ ...target, calls: 2 }], read: false, threads, relaxed }
        return { kind: 'vitune', who: own(threads, relaxed), what: `${productName(target)}, kernel only`, spec }
      }),
    ]
  })
  const laps = await interleave(bench, to, [...kernelOnly, ...lanes], { rounds, warm: 3 })
  for (const lap of laps) {
    const { products } = lap.spec
    const { calls, ...product } = products?.[lap.index ?? 0] ?? { ...target, calls: 1 }
    const flops = products ? flopsOf(product) * calls : peakFlops
    to.rows.push(rowOf(lap, 'GFLOP/s', true, (ms) => flops / ms / 1e6))
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
    const variant = peakOf(relaxed)
    const peak = lapOf(laps, peakOf(relaxed), PEAK)
    if (one && peak) {
      const value = ((100 * 2 * flopsOf(target)) / peakFlops) * ratioOf(peak.ms, one.ms)
      const what = `${name}: ${variant}, share of the ${variant} multiply-add peak, 1 thread`
      to.checks.push({ what, value, limit: relaxed ? 85 : 75, atMost: false, unit: '%' })
    }
    if (one && all && bench.threads === 2) {
      const what = `${name}: ${variant}, 2 threads as a multiple of one`
      to.checks.push({ what, value: ratioOf(one.ms, all.ms), limit: 1.85, atMost: false, unit: 'x' })
    }
  }
  return to
}
