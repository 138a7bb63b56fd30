// What `npm run bench` does without its peers: flags, statistics, tables, the page, counted traffic. No peer is needed here.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Buf, createWasm, kernels } from 'vitune/tensor'
import type { Call } from '../benchmarks/bench/counting-backend.ts'
import { isThisNode, nodeProgram } from '../benchmarks/bench/engine.ts'
import { parseFlags, sectionNames } from '../benchmarks/bench/flags.ts'
import { multipliesBytes, processorDetails } from '../benchmarks/bench/machine.ts'
import { flopsOfCall, loraStepBytes, loraStepMacs } from '../benchmarks/bench/operations.ts'
import { ownSteps } from '../benchmarks/bench/own-model.ts'
import { renderPage } from '../benchmarks/bench/page.ts'
import { multiplyAddPeak, peakModule } from '../benchmarks/bench/peak.ts'
import { matmulModel, vitModel } from '../benchmarks/bench/peers/onnx-model.mjs'
import { RELATIVE } from '../benchmarks/bench/pictures.ts'
import { type BenchResult, met, ratioOf, section, spreadOf } from '../benchmarks/bench/result.ts'
import { callsOfStep, sumByKernel } from '../benchmarks/bench/sections/traffic.ts'
import { smallVit } from '../benchmarks/bench/shapes.ts'
import { digits, putBetweenMarkers, readmeMarkdown, sectionText } from '../benchmarks/bench/table.ts'
import { sides, targets } from '../benchmarks/bench/targets.ts'
import { leastTraffic, wasmTraffic, webgpuTraffic } from '../benchmarks/bench/traffic.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

const steps = {
  ...section('steps', 'Steps, ms an image'),
  rows: [
    { what: 'forward', who: 'vitune', unit: 'ms', more: false, spread: spreadOf([10, 11, 12]) },
    { what: 'forward', who: 'peer <b>', unit: 'ms', more: false, spread: spreadOf([20, 22, 30]) },
  ],
  checks: [
    {
      what: "forward, of peer's time",
      value: 0.48,
      limit: 0.5,
      atMost: true,
      unit: 'x',
      spread: spreadOf([0.45, 0.48, 0.5]),
    },
    { what: 'share of the peak', value: 61.2, limit: 75, atMost: false, unit: '%' },
  ],
  tables: [{ title: 'By kernel', head: ['kernel', 'ms'], rows: [['matmul', '3.50']] }],
  notes: ['left out, PyTorch: no python3 with torch was found'],
}
const result: BenchResult = {
  format: 1,
  created: '2026-01-02T03:04:05.000Z',
  command: 'npm run bench',
  quick: false,
  complete: true,
  machine: { processor: 'A Chip, 2 cores', runtime: 'Node 20' },
  versions: { peer: '1.2.3' },
  sections: [steps],
}

test('no section named means all, in their order, and wrong words are named with what is known', () => {
  assert.equal(parseFlags([], 2).sections, sectionNames)
  assert.equal(parseFlags(['small', 'matmul', '--quick'], 2).sections, ['matmul', 'small'])
  const { readme, sections, threads, quick } = parseFlags(['readme'], 3)
  assert.equal([readme, sections, threads, quick], [true, [], 3, false])
  assert.throws(() => parseFlags(['matmull'], 2), /^section: must be one of targets, matmul, .*, got matmull$/)
  assert.throws(() => parseFlags(['--threads', '0'], 2), /^--threads: must be a whole number from 1 to 64, got 0$/)
  assert.throws(() => parseFlags(['--metod', 'lora'], 2), /unknown option '--metod'/)
})

test('spreads are medians with p10 and p90, and ratios are taken round by round', () => {
  assert.equal(spreadOf([5, 1, 3]), { median: 3, p10: 1, p90: 5, runs: 3 })
  assert.equal(spreadOf(Array.from({ length: 11 }, (_, i) => 10 - i)), { median: 5, p10: 1, p90: 9, runs: 11 })
  assert.throws(() => spreadOf([]), /at least one number/)
  // Round 2 was slow for both.
  assert.is(ratioOf([1, 10, 1], [2, 20, 2]), 0.5)
  assert.is(ratioOf([1, 10, 1], [4]), 0.25)
})

test('the text of a section has every row, the ratio to vitune, the targets with their marks, and the notes', () => {
  assert.is(
    sectionText(steps),
    `Steps, ms an image

            median  unit    p10 to p90  runs  of vitune
forward
  vitune      11.0    ms  10.0 to 12.0     3     1.00 x
  peer <b>    22.0    ms  20.0 to 30.0     3     2.00 x

By kernel
kernel    ms
matmul  3.50

Targets
pass  forward, of peer's time  0.480 x (at most 0.500 x)  0.450 to 0.500
FAIL  share of the peak         61.2 % (at least 75.0 %)

Note: left out, PyTorch: no python3 with torch was found`,
  )
  assert.equal(steps.checks.map(met), [true, false])
  assert.equal([12345.6, 123.4, 12.34, 1.234, 0.1234].map(digits), ['12,346', '123', '12.3', '1.23', '0.123'])
})

test('the README gets the table between its markers, with machine and versions', () => {
  const markdown = readmeMarkdown(result)
  assert.match(markdown, 'A Chip, 2 cores, Node 20, 2026-01-02. peer 1.2.3.')
  assert.match(markdown, '| forward (ms) | 11.0 | 22.0 |')
  assert.match(markdown, "| forward, of peer's time | 0.480 x (at most 0.500 x) | 0.450 to 0.500 | yes |")
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const written = putBetweenMarkers(readme, markdown)
  assert.match(written, markdown)
  assert.is(putBetweenMarkers(written, markdown), written)
  assert.throws(() => putBetweenMarkers('# Title', markdown), /^readme: needs the lines/)
})

test('a processor is told by what Linux says of it, and by nothing elsewhere', () => {
  const text = 'processor\t: 0\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: A Chip\nflags\t\t: fpu avx avx2 avx512f\n'
  assert.is(processorDetails(text), ' (family 6 model 85, AVX-512)')
  assert.is(processorDetails(text.replace(' avx512f', '')), ' (family 6 model 85, AVX2)')
  assert.is(processorDetails('processor\t: 0\nBogoMIPS\t: 50.00\n'), '')
})

test('bytes are multiplied four at a time from Node 24 on, where the processor has an instruction for it', () => {
  const flags = (more: string) => `flags\t\t: fpu avx avx2${more}\n`
  const has = (more: string, node: string, arch = 'x64') => multipliesBytes(flags(more), node, arch)
  assert.equal(
    [has(' avx_vnni', '24.1.0'), has(' avx512_vnni', '26.0.0'), has('', '24.1.0', 'arm64')],
    [true, true, true],
  )
  assert.equal([has(' avx_vnni', '22.1.0'), has('', '24.1.0')], [false, false])
})

test('the page draws each section and escapes every name', async () => {
  const page = await renderPage(result)
  assert.is(page.match(/<svg/g)?.length, 2)
  assert.match(page, 'peer &lt;b&gt;')
  assert.not.match(page, 'peer <b>')
  assert.match(page, '1 of 2 targets are met.')
  assert.not.match(page, /<script|https?:\/\/(?!www\.w3\.org)/)
})

const buf = (length: number): Buf => ({ length, dtype: 'f32' })
function product(m: number, k: number, n: number, bufs: Record<string, Buf> = {}): Call {
  const params = {
    batch: 1,
    m,
    n,
    k,
    transA: 0,
    transB: 0,
    strideA: 0,
    strideB: 0,
    alpha: 1,
    act: 0,
    accumulate: 0,
    format: 0,
    block: 0,
  }
  return { kernel: 'matmul', params, lengths: [], bufs: { y: buf(m * n), a: buf(m * k), b: buf(k * n), ...bufs } }
}

test('the traffic of one product is what its tiles read, counted by hand', () => {
  // 128 x 32 x 64 in 4 x 2 tiles of 32 x 32: A is read for both columns of tiles, B for all four rows of them.
  const call = product(128, 32, 64)
  assert.equal(leastTraffic(call), { dispatches: 1, read: 4 * (128 * 32 + 32 * 64), written: 4 * 128 * 64 })
  assert.equal(webgpuTraffic(call), { dispatches: 1, read: 4 * (2 * 128 * 32 + 4 * 32 * 64), written: 4 * 128 * 64 })
  // The bias is read by every row of tiles, the residual once.
  const ended = webgpuTraffic(product(128, 32, 64, { bias: buf(64), residual: buf(128 * 64) }))
  assert.is(ended.read - webgpuTraffic(call).read, 4 * (4 * 64 + 128 * 64))
  // On wasm B is packed once, and each of two blocks of 64 rows reads the packed copy.
  const packed = 32 * 64
  assert.equal(wasmTraffic(call), {
    dispatches: 1,
    read: 4 * (128 * 32 + 32 * 64 + 2 * packed),
    written: 4 * (128 * 64 + packed),
  })
})

test('a step moves no less than the least on any backend, and every kernel it runs is counted', async () => {
  const tiny = { name: 'tiny', image: 8, patch: 4, hidden: 16, layers: 2, heads: 2, classes: 3, layerScale: true }
  const calls = await callsOfStep(tiny, 2)
  assert.ok(calls.length > 50)
  for (const of of [webgpuTraffic, wasmTraffic]) {
    const sums = sumByKernel(calls, of)
    for (const name of ['matmul', 'attention', 'attentionGrad', 'layerNorm', 'crossEntropy']) assert.ok(sums.has(name))
    let counted = 0
    for (const [name, sum] of sums) {
      assert.ok(name in kernels)
      assert.ok(
        sum.read + sum.written >= sum.least,
        `${name}: ${sum.read + sum.written} of at least ${sum.least} bytes`,
      )
      counted += sum.calls
    }
    assert.is(counted, calls.length)
  }
})

test('the operations computed from a shape are those that a step dispatches', async () => {
  const tiny = { name: 'tiny', image: 8, patch: 4, hidden: 16, layers: 2, heads: 2, classes: 3, layerScale: true }
  for (const shape of [tiny, { ...tiny, layers: 3, image: 16, hidden: 32 }, { ...tiny, layers: 1, classes: 7 }]) {
    const calls = await callsOfStep(shape, 1)
    assert.is(calls.reduce((sum, call) => sum + flopsOfCall(call), 0) / 2, loraStepMacs(shape))
  }
})

test('the bytes computed from a shape are what a step holds, within a tenth', async () => {
  const shape = { ...smallVit, layerScale: true }
  const backend = await createWasm({ threads: 1 })
  for await (const event of ownSteps(backend, { shape, method: 'lora', batch: 1, steps: 2 })) {
    if (event.kind === 'step' && event.step === 1) backend.resetPeak()
  }
  const share = backend.memory().peak / loraStepBytes(shape)
  await backend.dispose()
  assert.ok(share > 0.9 && share < 1.1, `${share} of what was computed`)
})

test('the page draws methods as bars and models as circles whose areas are bytes', async () => {
  const row = (what: string, who: string, unit: string, median: number) => {
    return { what, who, unit, more: false, spread: spreadOf([median]) }
  }
  const relative = ['vitune', 'vitune, 128-bit', 'vitune int8', 'vitune NF4'].map((who, i) =>
    row('LoRA step', who, RELATIVE, 1 + i / 10),
  )
  const sizes = { ...section('sizes', 'Bytes'), rows: [row('a', 'f32', 'MB', 90), row('a', 'NF4', 'MB', 10)] }
  const page = await renderPage({ ...result, sections: [{ ...steps, rows: [...steps.rows, ...relative] }, sizes] })
  assert.is(page.match(/<svg/g)?.length, 6)
  for (const name of ['QLoRA', 'LoRA over int8', '10.0 MB']) assert.match(page, name)
  // The circle's path begins at its radius, to the right of its middle.
  const radii = [...page.matchAll(/<path [^>]*d="M([\d.]+),0A/g)].map(([, r]) => Number(r))
  assert.ok(Math.abs(radii[0]! / radii[1]! - 3) < 0.01, String(radii))
})

test('the peak kernels are valid and their sums are right', async () => {
  const bytes = peakModule(false)
  assert.ok(WebAssembly.validate(bytes))
  const { instance } = await WebAssembly.instantiate(bytes)
  assert.is((instance.exports.run as (n: number) => number)(3), 0)
  assert.ok((await multiplyAddPeak(false, 1))! > 0.5)
})

test('an ONNX product is written as the 100 or so bytes of protobuf that it is', () => {
  const model = matmulModel({ m: 2, k: 3, n: 4 }) as Buffer
  assert.ok(model.length < 150, `${model.length} bytes`)
  assert.match(model.toString('latin1'), 'MatMul')
})

test('an ONNX ViT with weights of 8 bits has them as such, each input quantised once for all products of it', () => {
  const shape = { name: 'tiny', image: 8, patch: 4, hidden: 64, layers: 2, heads: 2, classes: 3, layerScale: true }
  const [whole, packed] = [false, true].map((int8) => vitModel({ shape, batch: 1, int8 }) as Buffer)
  const count = (model: Buffer, name: string) => model.toString('latin1').split(name).length - 1
  // Six products by weights a layer, and the classifier; one input for query, key and value.
  assert.equal([count(packed!, 'MatMulInteger'), count(packed!, 'DynamicQuantizeLinear')], [13, 9])
  assert.is(count(whole!, 'MatMulInteger'), 0)
  const weights = 2 * 12 * 64 * 64 + 3 * 64
  assert.ok(Math.abs(whole!.length - packed!.length - 3 * weights) < 4000, `${whole!.length} and ${packed!.length}`)
})

test('every target has sides that differ, in method or otherwise, and each side is in some target', () => {
  const used = new Set(targets.flatMap(({ of, by }) => [of, by]))
  assert.equal([...used].sort(), Object.keys(sides).sort())
  assert.is(new Set(targets.map(({ what }) => what)).size, targets.length)
  for (const { what, of, by } of targets) assert.is.not(of, by, what)
  const holds = (dot: boolean, wide: boolean) => targets.filter(({ where }) => where?.({ dot, wide }) ?? true).length
  assert.ok(holds(true, true) > holds(true, false) && holds(true, false) > holds(false, false))
})

test('a Node is named by version or by path, and what is neither is refused', async () => {
  const silent = () => {}
  assert.ok(isThisNode(await nodeProgram(process.execPath, silent)))
  const message = await nodeProgram('7', silent).catch((error: Error) => error.message)
  assert.match(message, /^--node: must be one of 20\.12, 22, 24, 26.* or the path of a Node, got 7$/)
})

test('counting a step from the command line prints its tables and writes both files; a bad word ends with code 2', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vitune-bench-'))
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['--import', 'tsx', 'benchmarks/bench/main.ts', ...args], {
      cwd: root,
      encoding: 'utf8',
    })
  const { status, stdout, stderr } = run('traffic', '--out', folder)
  assert.is(status, 0, stderr)
  assert.match(stdout, /WebGPU: LoRA step of DINOv2-small's shape, batch 8\nkernel +calls +dispatches/)
  const written = JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8')) as BenchResult
  assert.equal([written.format, written.complete, written.sections[0]!.tables.length], [1, true, 4])
  assert.match(readFileSync(join(folder, 'report.html'), 'utf8'), '<!doctype html>')
  const bad = run('trafic')
  assert.is(bad.status, 2)
  assert.match(bad.stderr, /^section: must be one of .*, got trafic\n$/)
  rmSync(folder, { recursive: true })
})

test.run()
