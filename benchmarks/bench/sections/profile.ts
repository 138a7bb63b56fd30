// Section profile: where a step's time goes, every kernel's calls, milliseconds, share and speed against the machine's peaks.
// Kernels are timed one by one on one thread, where a dispatch has run when it returns. Runs in this process.
import type { Method } from 'vitune/adapters'
import { type Backend, createWasm } from 'vitune/tensor'
import { methodName } from '../../../src/report/format.ts'
import { type Call, callOf } from '../counting-backend.ts'
import type { Bench } from '../measure.ts'
import { ownSteps } from '../own-model.ts'
import { copyPeak, multiplyAddPeak } from '../peak.ts'
import { type Section, section } from '../result.ts'
import type { VitShape } from '../shapes.ts'
import { leastTraffic } from '../traffic.ts'

export interface ProfileOptions {
  readonly shape: VitShape
  readonly method: Method
  readonly batch: number
  readonly steps: number
  /** A row for each size of a kernel's operands. */
  readonly shapes: boolean
  readonly checkpointing: boolean
  /** Count the process's processor time, for a machine that is busy with something else. */
  readonly cpu: boolean
}

interface Row {
  name: string
  calls: number
  ms: number
  flops: number
  bytes: number
}

/** Multiplications and additions of the kernels that are bound by them; 0 for those bound by memory. */
function flopsOf({ kernel, params: p, bufs }: Call): number {
  if (kernel === 'matmul') return 2 * p.batch! * p.m! * p.n! * p.k!
  if (kernel === 'matmulI8') return 2 * p.m! * p.n! * p.k!
  const product = 2 * p.b! * p.h! * p.n! ** 2 * p.d!
  if (kernel === 'attention') return 2 * product
  // The scores again, dO V^T for dq and dk, and one product for each gradient asked for.
  if (kernel !== 'attentionGrad') return 0
  const [dq, dk, dv] = [bufs.dq, bufs.dk, bufs.dv].map((b) => (b ? 1 : 0)) as [number, number, number]
  return product * (1 + Math.max(dq, dk) + dq + dk + dv)
}

function labelOf({ kernel, params: p, bufs }: Call): string {
  if (kernel !== 'matmul' && kernel !== 'matmulI8')
    return `${kernel} ${Math.max(...Object.values(bufs).map((b) => b?.length ?? 0))}`
  const extras = ['bias', 'colScale', 'residual', 'gate', 'slope'].filter((name) => bufs[name])
  if (p.act) extras.push(p.act === 1 ? 'gelu' : 'gelu slope')
  const operands = `${p.transA ? 'A^T' : 'A'} ${p.transB ? 'B^T' : 'B'}${p.format ? ' packed' : ''}`
  return `${kernel} ${p.m} x ${p.k} x ${p.n} ${operands} ${extras.join(' ')}`.trim()
}

/** Runs the section. */
export async function profile(bench: Bench, options: ProfileOptions): Promise<Section> {
  const { shape, method, batch, steps, shapes, cpu } = options
  const now = () => {
    if (!cpu) return performance.now()
    const { user, system } = process.cpuUsage()
    return (user + system) / 1000
  }
  const rows = new Map<string, Row>()
  const inner = await createWasm({ threads: 1 })
  const backend: Backend = {
    ...inner,
    dispatch(kernel, bufs, params) {
      const begun = now()
      inner.dispatch(kernel, bufs, params)
      const ms = now() - begun
      const call = callOf(kernel, bufs, params)
      const name = shapes ? labelOf(call) : kernel
      const row = rows.get(name) ?? { name, calls: 0, ms: 0, flops: 0, bytes: 0 }
      rows.set(name, row)
      row.calls++
      row.ms += ms
      row.flops += flopsOf(call)
      const { read, written } = leastTraffic(call)
      row.bytes += read + written
    },
  }
  const { relaxedSimd } = inner.caps
  const title = `Profile: ${methodName(method)} step of ${shape.name}, batch ${batch}, 1 thread, ${relaxedSimd ? 'relaxed' : 'plain'} SIMD`
  const to = section('profile', `${title}${cpu ? ', processor time' : ''}`)
  const times: number[] = []
  try {
    let before = 0
    for await (const event of ownSteps(backend, { ...options, steps: steps + 1 })) {
      if (event.kind !== 'step') continue
      bench.progress(`profile: step ${event.step} of ${steps + 1}`)
      // The first step compiles and fills caches.
      if (event.step === 1) {
        rows.clear()
        inner.resetPeak()
      } else times.push(now() - before)
      if (bench.signal.aborted) break
      before = now()
    }
    to.notes.push(`highest tensor memory ${(inner.memory().peak / 1e6).toFixed(0)} MB`)
  } finally {
    await inner.dispose()
  }
  if (times.length === 0) return to
  const peak = await multiplyAddPeak(relaxedSimd, 20)
  const copy = copyPeak(5)
  to.notes.push(`peaks of one thread: ${peak!.toFixed(1)} GFLOP/s multiply-add, ${copy.toFixed(1)} GB/s copying`)
  const taken = times.length
  const stepMs = times.reduce((a, b) => a + b, 0) / taken
  const table = [...rows.values()].sort((a, b) => b.ms - a.ms)
  const kernelMs = table.reduce((sum, row) => sum + row.ms / taken, 0)
  const share = (ms: number) => `${((100 * ms) / stepMs).toFixed(1)} %`
  const cells = table.map(({ name, calls, ms, flops, bytes }) => {
    const rate = flops > 0 ? flops / ms / 1e6 : bytes / ms / 1e6
    const speed = flops > 0 ? [rate.toFixed(1), ''] : ['', rate.toFixed(1)]
    const ofPeak = `${((100 * rate) / (flops > 0 ? peak! : copy)).toFixed(0)} %`
    return [name, String(Math.round(calls / taken)), (ms / taken).toFixed(2), share(ms / taken), ...speed, ofPeak]
  })
  to.tables.push({
    title: `${stepMs.toFixed(1)} ms a step, ${(stepMs / batch).toFixed(1)} ms an image (mean of ${taken})`,
    head: ['kernel', 'calls', 'ms', 'share', 'GFLOP/s', 'GB/s', 'of the peak'],
    rows: [...cells, ['outside kernels', '', (stepMs - kernelMs).toFixed(2), share(stepMs - kernelMs), '', '', '']],
  })
  return to
}
