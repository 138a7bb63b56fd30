// What V8 makes of the micro-kernel's loop (assembly/panels.ts), where a ViT spends most of its time: instructions a multiply-add,
// how many of them touch the stack, which none should, and whether a jump crosses a line of 32 bytes or ends with it, which
// none should either: such a line is decoded anew each time on Intel's processors from Skylake to Cascade Lake ("Mitigations for
// Jump Conditional Code Erratum", Intel 2019; here a product took 1.27 times as long). V8 starts loops on such a line.
// Looked at after a change there, and with each new engine; x64 only.
// Usage, after npm run build: node --import tsx benchmarks/inner-loop.ts [--code]
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { code: { type: 'boolean', default: false } } })
if (process.arch !== 'x64') {
  console.error(`inner-loop: reads x64 machine code only, this is ${process.arch}`)
  process.exit(2)
}

/** Machine code of all kernels, as text. */
function codeOf(relaxed: boolean): string {
  const flags = Number(process.versions.node.split('.')[0]) < 22 ? ['--experimental-wasm-relaxed-simd'] : []
  const options = `{ threads: 1, disable: ${relaxed ? '[]' : "['relaxed-simd']"} }`
  return execFileSync(
    process.execPath,
    [
      ...flags,
      ...['--no-liftoff', '--no-wasm-lazy-compilation', '--print-wasm-code', '--input-type=module', '--eval'],
      // Compiling keeps no process alive everywhere.
      `setInterval(() => {}, 1000); const { createWasm } = await import('vitune/tensor'); await createWasm(${options}); process.exit()`,
    ],
    { encoding: 'utf8', maxBuffer: 1e9, cwd: new URL('..', import.meta.url) },
  )
}

interface Loop {
  readonly body: readonly string[]
  /** Fused multiply-adds, or products where there are none. */
  readonly products: number
  readonly onStack: number
  /** Jumps, with the comparison before them, that touch the end of a line of 32 bytes. */
  readonly onLine: number
}

/** Those that touch a line's end; a comparison and its jump run as one. */
function jumpsOnLine(body: readonly { at: number; length: number; what: string }[]): number {
  return body.filter(({ at, length, what }, i) => {
    const before = body[i - 1]?.what.includes('cmp') ? body[i - 1]!.length : 0
    return what.startsWith('j') && Math.floor((at - before) / 32) !== Math.floor((at + length) / 32)
  }).length
}

/** Every loop of at least 8 products without another in it: from the target of a jump backwards to the jump. */
function* loopsOf(code: string): Generator<Loop> {
  for (const text of code.split('--- WebAssembly code ---')) {
    const lines = [...text.matchAll(/^0x[0-9a-f]+ +([0-9a-f]+) +([0-9a-f]+) +(.*)$/gm)]
    const instructions = lines.map(([, at, bytes, what]) => {
      return { at: Number.parseInt(at!, 16), length: bytes!.length / 2, what: what! }
    })
    for (const [end, { at, what }] of instructions.entries()) {
      const target = /^j.*<\+0x([0-9a-f]+)>/.exec(what)
      if (!target || Number.parseInt(target[1]!, 16) >= at) continue
      const start = instructions.findIndex((one) => one.at >= Number.parseInt(target[1]!, 16))
      const loop = instructions.slice(start, end + 1)
      const body = loop.map((one) => one.what)
      const products =
        body.filter((one) => /^vfmadd/.test(one)).length || body.filter((one) => /^vmulps/.test(one)).length
      if (products < 8) continue
      const onStack = body.filter((one) => /\[r[bs]p[+-]/.test(one)).length
      yield { body, products, onStack, onLine: jumpsOnLine(loop) }
    }
  }
}

for (const relaxed of [true, false]) {
  const per = ({ body, products }: Loop) => body.length / products
  const best = [...loopsOf(codeOf(relaxed))].sort((a, b) => per(a) - per(b))[0]
  if (!best) throw new Error('inner-loop: found no loop with products; does this Node print machine code?')
  const { body, products, onStack, onLine } = best
  console.log(
    `${relaxed ? 'relaxed' : 'plain'}: ${body.length} instructions for ${products} multiply-adds, ${per(best).toFixed(2)} each; ${onStack} on the stack; ${onLine} jumps on a line's end`,
  )
  if (values.code) console.log(`  ${body.join('\n  ')}`)
  if (onStack > 0 || onLine > 0) process.exitCode = 1
}
