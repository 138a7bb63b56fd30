// One contender in a process of its own, so that none is in another's memory or garbage, and a crash is a reason to leave
// it out. Lines of text go in (`run 0`), lines of JSON come back: contenders/host.mjs and peers/pytorch.py are the other end.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { MemoryStats } from 'vitune/tensor'
import type { Product, VitShape } from './shapes.ts'

/** What to prepare; passed to the contender as JSON. */
export interface Spec {
  readonly work: 'matmul' | 'vit' | 'peak'
  readonly threads: number
  /** matmul: the products with how many times to do each in a run, and whether each result is read whole. */
  readonly products?: readonly (Product & { readonly calls: number })[]
  readonly read?: boolean
  /** peak: the module of peak.ts in base64, and how many rounds of its loop make a run. */
  readonly module?: string
  readonly rounds?: number
  readonly shape?: VitShape
  readonly batch?: number
  readonly method?: 'forward' | 'linear' | 'lora' | 'dora' | 'full'
  /** vitune: false for plain SIMD. */
  readonly relaxed?: boolean
  /** vitune, linear: on features that were made once. */
  readonly cached?: boolean
  readonly checkpointing?: boolean
  /** How often to do it in a run, default 1; not in a page. */
  readonly repeat?: number
  /** Which device, wasm by default; PyTorch: `cuda`. In a page also where tfjs finds its WASM files. */
  readonly device?: 'wasm' | 'webgpu' | 'cuda'
  readonly files?: string
  /** onnxruntime-node in place of onnxruntime-web. */
  readonly native?: boolean
  /** Frozen weights in 4 or 8 bits: vitune any, onnxruntime int8. */
  readonly quantize?: 'nf4' | 'int8'
  /** On a GPU: vitune's operands in f16, PyTorch's autocast to f16. */
  readonly f16?: boolean
  /** vitune: features of the engine to do without. */
  readonly disable?: readonly 'wide'[]
  /** onnxruntime: compare int8's logits with those of f32, and say so in a note. */
  readonly check?: boolean
}

/** What a contender knows of itself once it is ready. */
export interface Facts {
  /** vitune: by which kernel products of integers run (`caps.integer`), and whether vectors are of 256 bits (`caps.wide`). */
  readonly integer?: string
  readonly wide?: boolean
  /** vitune: bytes of the weights that are packed, and what they would be in f32. */
  readonly packed?: { readonly bytes: number; readonly f32: number }
}

/** One run: milliseconds, a number that its result holds, the process's highest memory in bytes. */
export interface Run {
  readonly ms: number
  readonly value: number
  readonly rss: number
  /** vitune: its tensors. */
  readonly memory?: MemoryStats
}

export interface Contender {
  readonly who: string
  readonly versions: Readonly<Record<string, string>>
  readonly notes: readonly string[]
  readonly facts: Facts
  run(index?: number): Promise<Run>
  close(): void
}

export type Kind = 'vitune' | 'onnx' | 'tfjs' | 'jax' | 'pytorch'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const running = new Set<ChildProcessWithoutNullStreams>()

/** Ends every contender, at Ctrl-C. */
export function closeAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

// Node 20 knows relaxed SIMD behind a flag only; peers get it too.
const nodeFlags = Number(process.versions.node.split('.')[0]) < 22 ? ['--experimental-wasm-relaxed-simd'] : []

function commandOf(kind: Kind, spec: Spec, python: string): [string, string[]] {
  const json = JSON.stringify(spec)
  if (kind === 'pytorch') return [python, [at('./peers/pytorch.py'), json]]
  const module = kind === 'vitune' ? './vitune.mjs' : `../peers/${kind}.mjs`
  return [process.execPath, [...nodeFlags, at('./contenders/host.mjs'), module, json]]
}

/** Starts one and prepares `spec`. Rejects with one sentence where it cannot; ends at `close`. */
export async function openContender(kind: Kind, who: string, spec: Spec, python = 'python3'): Promise<Contender> {
  const [command, args] = commandOf(kind, spec, python)
  // Detached, so that a Ctrl-C reaches this process first; it ends by itself when its input does.
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  running.add(child)
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors = `${errors}${chunk}`.slice(-2000)
  })
  child.stdin.on('error', () => {})
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = []
  const ready: string[] = []
  let ended: Error | undefined
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith('@bench ')) return
    const next = waiting.shift()
    if (next) next.resolve(line.slice(7))
    else ready.push(line.slice(7))
  })
  const end = (reason: string) => {
    running.delete(child)
    ended ??= new Error(`${who}: ${reason}`)
    for (const { reject } of waiting.splice(0)) reject(ended)
  }
  child.on('error', (error) => end(error.message))
  child.on('close', (code, signal) => {
    const last = errors.trim().split('\n').at(-1) ?? ''
    end(`ended with ${signal ?? `code ${code}`}${last ? `: ${last}` : ''}`)
  })
  async function answer<T>(): Promise<T> {
    const line =
      ready.shift() ??
      (await new Promise<string>((resolve, reject) => {
        if (ended) reject(ended)
        else waiting.push({ resolve, reject })
      }))
    const value = JSON.parse(line) as T & { error?: string }
    if (value.error !== undefined) throw new Error(`${who}: ${value.error}`)
    return value
  }
  const { versions, notes, facts = {} } = await answer<Pick<Contender, 'versions' | 'notes'> & { facts?: Facts }>()
  return {
    who,
    versions,
    notes,
    facts,
    run(index = 0) {
      child.stdin.write(`run ${index}\n`)
      return answer<Run>()
    },
    close() {
      child.stdin.end()
      child.kill('SIGKILL')
    },
  }
}
