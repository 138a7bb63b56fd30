// Section profile: where a step's time goes, every kernel's calls, milliseconds, share and speed against the machine's peaks.
// Kernels are timed one by one on one thread, where a dispatch has run when it returns. Runs in this process.
import type { Method } from 'vitune/adapters'
import { methodName } from '../../../src/report/format.ts'
import type { Call } from '../counting-backend.ts'
import { kernelTimes } from '../kernel-times.ts'
import type { Bench } from '../measure.ts'
import { copyPeak, multiplyAddPeak } from '../peak.ts'
import { type Section, section } from '../result.ts'
import type { VitShape } from '../shapes.ts'

export interface ProfileOptions {
  readonly shape: VitShape
  readonly method: Method
  readonly quantize?: 'nf4' | 'int8'
  readonly batch: number
  readonly steps: number
  /** A row for each size of a kernel's operands. */
  readonly shapes: boolean
  readonly checkpointing: boolean
  /** Count the process's processor time, for a machine that is busy with something else. */
  readonly cpu: boolean
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
  const { shape, method, quantize, batch, shapes, cpu } = options
  const {
    rows: table,
    times,
    relaxedSimd,
    highest,
  } = await kernelTimes(bench, 'profile', {
    ...options,
    nameOf: shapes ? labelOf : undefined,
  })
  const title = `Profile: ${methodName(method)} step of ${shape.name}${quantize ? ` over ${quantize}` : ''}, batch ${batch}, 1 thread, ${relaxedSimd ? 'relaxed' : 'plain'} SIMD`
  const to = section('profile', `${title}${cpu ? ', processor time' : ''}`)
  to.notes.push(`highest tensor memory ${(highest / 1e6).toFixed(0)} MB`)
  if (times.length === 0) return to
  const peak = await multiplyAddPeak(relaxedSimd, 20)
  const copy = copyPeak(5)
  to.notes.push(`peaks of one thread: ${peak!.toFixed(1)} GFLOP/s multiply-add, ${copy.toFixed(1)} GB/s copying`)
  const taken = times.length
  const stepMs = times.reduce((a, b) => a + b, 0) / taken
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
