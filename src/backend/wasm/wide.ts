// The kernels for vectors of 256 bits, which WebAssembly does not have but V8 makes of neighbouring ones of 128 in Node 24 and
// 26: taken where its micro-kernel is found faster and the compiled module to give the same bits as the ordinary one.
// Not in a page, which cannot ask for it: wide-none.ts.
import { platform } from '#platform'
import { unpack } from './packed-kernels.ts'
import { sameBits } from './self-test.ts'

/** How much faster the wide micro-kernel must be. */
const WORTH = 1.15

type Run = (times: number, a: number, b: number, k: number, tile: number) => void

/** Multiply-adds a millisecond of both micro-kernels, the best of several turns of some 50 us. */
function faster(narrow: Run, wide: Run): boolean {
  const K = 256
  const best = [0, 0]
  for (let turn = 0; turn < 12; turn++) {
    for (const [i, run] of [narrow, wide].entries()) {
      const times = i === 0 ? 64 : 32
      const start = performance.now()
      run(times, 4096, 1 << 18, K, 1 << 19)
      best[i] = Math.max(best[i]!, 1 / (performance.now() - start))
    }
  }
  return best[1]! > WORTH * best[0]!
}

async function choose(ordinary: Uint8Array<ArrayBuffer>, shared: boolean): Promise<WebAssembly.Module | undefined> {
  const { default: kernels } = await import('wasm:wide')
  const [bytes, narrowProbe, wideProbe] = await unpack(kernels, [shared ? 1 : 0, 2, 3])
  const compile = (way: 'baseline' | 'optimised' | 'joined', text: Uint8Array<ArrayBuffer>) =>
    platform.compileWhole(way, () => new WebAssembly.Module(text))
  const memory = new WebAssembly.Memory({ initial: 16 })
  const runOf = (module: WebAssembly.Module) => new WebAssembly.Instance(module, { env: { memory } }).exports.run as Run
  if (!faster(runOf(compile('optimised', narrowProbe!)), runOf(compile('joined', wideProbe!)))) return undefined
  const module = compile('joined', bytes!)
  return sameBits(module, compile('baseline', ordinary), shared) ? module : undefined
}

const chosen = new Map<boolean, Promise<WebAssembly.Module | undefined>>()

/** The wide kernels, compiled, where they are worth taking in place of the `ordinary` ones; found out once a process. */
export function wideModule(
  ordinary: Uint8Array<ArrayBuffer>,
  shared: boolean,
): Promise<WebAssembly.Module | undefined> {
  if (!platform.joinsVectors) return Promise.resolve(undefined)
  if (!chosen.has(shared)) chosen.set(shared, choose(ordinary, shared))
  return chosen.get(shared)!
}
