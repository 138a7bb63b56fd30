// Runs one contender in a process of its own: `node host.mjs MODULE SPEC`. Reads `run N` lines, answers each with one line of
// JSON behind `@bench `: milliseconds of the run (its result read inside them), the result, the process's highest memory.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const say = (value) => process.stdout.write(`@bench ${JSON.stringify(value)}\n`)
const [module, text] = process.argv.slice(2)

/** Bytes of the highest memory. Linux counts in `maxRSS` what the parent had when it started this process, in VmHWM not. */
function highest() {
  try {
    const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
    return Number(kilobytes) * 1024
  } catch {
    return process.resourceUsage().maxRSS * 1024
  }
}

try {
  const { open } = await import(new URL(module, import.meta.url).href)
  const spec = JSON.parse(text)
  const contender = await open(spec)
  const { versions, notes = [], facts = {} } = contender
  say({ versions, notes, facts })
  for await (const line of createInterface({ input: process.stdin })) {
    const begun = performance.now()
    let value
    for (let n = 0; n < (spec.repeat ?? 1); n++) value = await contender.run(Number(line.split(' ')[1]))
    const ms = performance.now() - begun
    say({ ms, value, rss: highest(), memory: contender.memory?.() })
  }
} catch (error) {
  say({ error: String(error?.message ?? error).split('\n')[0], stack: error?.stack })
}
process.exit(0)
