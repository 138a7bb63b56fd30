// Section traffic: what a LoRA step moves by kernel, on WebGPU and on wasm, against the least possible. Counting, no timing.
import { type Call, countingBackend } from '../counting-backend.ts'
import type { Bench } from '../measure.ts'
import { ownSteps } from '../own-model.ts'
import { type Section, section } from '../result.ts'
import { dinov2Small, smallVit, type VitShape } from '../shapes.ts'
import { leastTraffic, type Traffic, wasmTraffic, webgpuTraffic } from '../traffic.ts'

interface Sum {
  calls: number
  dispatches: number
  read: number
  written: number
  least: number
}

/** Every kernel call of one LoRA step, the second one: the first also fills what later ones keep. */
export async function callsOfStep(shape: VitShape, batch: number): Promise<Call[]> {
  let calls: Call[] = []
  const backend = countingBackend((call) => calls.push(call))
  for await (const event of ownSteps(backend, { shape, method: 'lora', batch, steps: 2 })) {
    if (event.kind === 'step' && event.step === 1) calls = []
  }
  return calls
}

/** By kernel, the one that moves most first. */
export function sumByKernel(calls: readonly Call[], of: (call: Call) => Traffic): Map<string, Sum> {
  const sums = new Map<string, Sum>()
  for (const call of calls) {
    const { dispatches, read, written } = of(call)
    const least = leastTraffic(call)
    const sum = sums.get(call.kernel) ?? { calls: 0, dispatches: 0, read: 0, written: 0, least: 0 }
    sums.set(call.kernel, sum)
    sum.calls++
    sum.dispatches += dispatches
    sum.read += read
    sum.written += written
    sum.least += least.read + least.written
  }
  const moved = ([, s]: [string, Sum]) => s.read + s.written
  return new Map([...sums].sort((a, b) => moved(b) - moved(a)))
}

const megabytes = (n: number) => (n / 1e6).toFixed(1)

function cells(name: string, { calls, dispatches, read, written, least }: Sum): string[] {
  const moved = read + written
  const times = `${(moved / least).toFixed(2)} x`
  return [name, String(calls), String(dispatches), megabytes(read), megabytes(written), megabytes(least), times]
}

/** Runs the section. */
export async function traffic(bench: Bench): Promise<Section> {
  const to = section('traffic', 'Bytes moved by one LoRA step, counted from the plans')
  to.notes.push('a load counts as often as a workgroup issues it, although caches may serve it; MB are 1,000,000 bytes')
  for (const [shape, batch] of [
    [dinov2Small, 8],
    [smallVit, 64],
  ] as const) {
    bench.progress(`traffic: counting a LoRA step of ${shape.name}`)
    const calls = await callsOfStep(shape, batch)
    for (const [backend, of] of [
      ['WebGPU', webgpuTraffic],
      ['wasm', wasmTraffic],
    ] as const) {
      const sums = sumByKernel(calls, of)
      const all: Sum = { calls: 0, dispatches: 0, read: 0, written: 0, least: 0 }
      for (const sum of sums.values()) for (const key of Object.keys(all) as (keyof Sum)[]) all[key] += sum[key]
      to.tables.push({
        title: `${backend}: LoRA step of ${shape.name}, batch ${batch}`,
        head: ['kernel', 'calls', 'dispatches', 'read, MB', 'written, MB', 'least, MB', 'of the least'],
        rows: [...[...sums].map(([name, sum]) => cells(name, sum)), cells('all', all)],
      })
    }
  }
  return to
}
