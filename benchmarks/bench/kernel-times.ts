// Milliseconds by kernel of training steps in this process. Kernels are timed one by one on one thread, where a dispatch has run
// when it returns.
import { type Backend, createWasm } from 'vitune/tensor'
import { type Call, callOf } from './counting-backend.ts'
import type { Bench } from './measure.ts'
import { flopsOfCall } from './operations.ts'
import { type OwnSteps, ownSteps } from './own-model.ts'
import { leastTraffic } from './traffic.ts'

export interface KernelTimesOptions extends OwnSteps {
  /** Count the process's processor time, for a machine that is busy with something else. */
  readonly cpu?: boolean
  /** What a call is counted under; its kernel without it. */
  readonly nameOf?: ((call: Call) => string) | undefined
}

/** Sums over all steps. */
export interface KernelTime {
  name: string
  calls: number
  ms: number
  flops: number
  bytes: number
}

export interface KernelTimes {
  /** The slowest first. */
  readonly rows: readonly KernelTime[]
  /** Milliseconds of each step. */
  readonly times: readonly number[]
  readonly relaxedSimd: boolean
  /** Bytes of tensors at the peak. */
  readonly highest: number
}

/** `steps` steps after one that compiles and fills caches; `section` is who says how far it is. */
export async function kernelTimes(bench: Bench, section: string, options: KernelTimesOptions): Promise<KernelTimes> {
  const { steps, cpu = false, nameOf = (call) => call.kernel } = options
  const now = () => {
    if (!cpu) return performance.now()
    const { user, system } = process.cpuUsage()
    return (user + system) / 1000
  }
  const rows = new Map<string, KernelTime>()
  const inner = await createWasm({ threads: 1 })
  const backend: Backend = {
    ...inner,
    dispatch(kernel, bufs, params) {
      const begun = now()
      inner.dispatch(kernel, bufs, params)
      const ms = now() - begun
      const call = callOf(kernel, bufs, params)
      const name = nameOf(call)
      const row = rows.get(name) ?? { name, calls: 0, ms: 0, flops: 0, bytes: 0 }
      rows.set(name, row)
      row.calls++
      row.ms += ms
      row.flops += flopsOfCall(call)
      const { read, written } = leastTraffic(call)
      row.bytes += read + written
    },
  }
  const times: number[] = []
  try {
    let before = 0
    for await (const event of ownSteps(backend, { ...options, steps: steps + 1 })) {
      if (event.kind !== 'step') continue
      bench.progress(`${section}: ${options.shape.name}, step ${event.step} of ${steps + 1} by kernel`)
      if (event.step === 1) {
        rows.clear()
        inner.resetPeak()
      } else times.push(now() - before)
      if (bench.signal.aborted) break
      before = now()
    }
    const sorted = [...rows.values()].sort((a, b) => b.ms - a.ms)
    return { rows: sorted, times, relaxedSimd: inner.caps.relaxedSimd, highest: inner.memory().peak }
  } finally {
    await inner.dispose()
  }
}
