// Runs one contender in a process of its own: `node host.mjs MODULE SPEC`. Reads `run N` lines, answers each with one line of
// JSON behind `@bench `: milliseconds of the run (its result read inside them), the result, the process's highest memory.
import { createInterface } from 'node:readline'

const say = (value) => process.stdout.write(`@bench ${JSON.stringify(value)}\n`)
const [module, text] = process.argv.slice(2)

try {
  const { open } = await import(new URL(module, import.meta.url).href)
  const spec = JSON.parse(text)
  const contender = await open(spec)
  say({ versions: contender.versions, notes: contender.notes ?? [] })
  for await (const line of createInterface({ input: process.stdin })) {
    const begun = performance.now()
    let value
    for (let n = 0; n < (spec.repeat ?? 1); n++) value = await contender.run(Number(line.split(' ')[1]))
    const ms = performance.now() - begun
    // maxRSS is in kilobytes.
    say({ ms, value, rss: process.resourceUsage().maxRSS * 1024, memory: contender.memory?.() })
  }
} catch (error) {
  say({ error: String(error?.message ?? error).split('\n')[0], stack: error?.stack })
}
process.exit(0)
