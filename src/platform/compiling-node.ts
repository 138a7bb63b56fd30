// How V8 compiles WebAssembly, for as long as one module takes: optimised at once, and with neighbouring vectors of 128 bits
// joined to ones of 256. Its flags belong to the process, so they are set and taken back around a compile that nothing of this
// thread can interrupt.
import { setFlagsFromString } from 'node:v8'
import { isMainThread } from 'node:worker_threads'

/** V8's versions with which this was tried, from 13.6 (Node 24) on: flags of an experiment may crash a process in the next one. */
const TRIED = [13.6, 14.9] as const

const version = Number(/^\d+\.\d+/.exec(process.versions.v8)?.[0])
const flagsGiven = /(liftoff|wasm)/.test([process.env.NODE_OPTIONS ?? '', ...process.execArgv].join(' '))

/** Whether V8 joins vectors here: two threads could not take turns with its flags, and what the user has set stays. */
export const joinsVectors =
  process.arch === 'x64' && version >= TRIED[0] && version <= TRIED[1] && isMainThread && !flagsGiven

/**
 * Runs `compile`, which compiles at once, while V8 compiles all functions of a module on all its threads: `baseline`, `optimised`,
 * or optimised with vectors `joined`. Only where `joinsVectors`. Without the baseline compiler nothing has counted calls, and V8 14 ends the process where it wants to inline
 * and finds no counts; so it may not until baseline code is made again.
 */
export function compileWhole<T>(way: 'baseline' | 'optimised' | 'joined', compile: () => T): T {
  const set = (flags: string) => {
    for (const flag of flags.split(' ')) setFlagsFromString(`--${flag}`)
  }
  set('no-wasm-lazy-compilation')
  if (way !== 'baseline') set('no-wasm-inlining no-liftoff')
  if (way === 'joined') set('experimental-wasm-revectorize')
  try {
    return compile()
  } finally {
    set('no-experimental-wasm-revectorize liftoff wasm-lazy-compilation wasm-inlining')
  }
}
