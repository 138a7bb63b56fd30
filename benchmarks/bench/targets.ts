// The targets of frozen weights in 4 and 8 bits, in one list: what is divided by what, and the most or the least that comes of
// it. What each side does stands in `sides`; sections/targets.ts measures all of them in one interleaved run.
import type { Kind, Spec } from './contender.ts'
import { target as product } from './shapes.ts'

/** One side of a ratio: who does what. */
export interface Side {
  readonly kind: Kind
  readonly who: string
  readonly what: string
  readonly spec: Partial<Spec>
}

const own = (who: string, what: string, spec: Partial<Spec>): Side => ({ kind: 'vitune', who, what, spec })
const narrow: Partial<Spec> = { disable: ['wide'] }
const matmul = { work: 'matmul', products: [{ ...product, calls: 4 }], read: false } as const

export const sides = {
  'f32 forward': own('vitune, 128-bit', 'forward', { method: 'forward', ...narrow }),
  'int8 forward': own('vitune int8, 128-bit', 'forward', { method: 'forward', quantize: 'int8', ...narrow }),
  'wide int8 forward': own('vitune int8', 'forward', { method: 'forward', quantize: 'int8' }),
  'web forward': { kind: 'onnx', who: 'onnxruntime-web', what: 'forward', spec: { method: 'forward' } },
  'web int8 forward': {
    kind: 'onnx',
    who: 'onnxruntime-web int8',
    what: 'forward',
    spec: { method: 'forward', quantize: 'int8' },
  },
  'torch forward': { kind: 'pytorch', who: 'PyTorch', what: 'forward', spec: { method: 'forward' } },
  'f32 LoRA': own('vitune, 128-bit', 'LoRA step', { method: 'lora', ...narrow }),
  'int8 LoRA': own('vitune int8, 128-bit', 'LoRA step', { method: 'lora', quantize: 'int8', ...narrow }),
  'torch LoRA': { kind: 'pytorch', who: 'PyTorch', what: 'LoRA step', spec: { method: 'lora' } },
  LoRA: own('vitune', 'LoRA step', { method: 'lora' }),
  'wide int8 LoRA': own('vitune int8', 'LoRA step', { method: 'lora', quantize: 'int8' }),
  QLoRA: own('vitune NF4', 'LoRA step', { method: 'lora', quantize: 'nf4' }),
  DoRA: own('vitune', 'DoRA step', { method: 'dora' }),
  QDoRA: own('vitune NF4', 'DoRA step', { method: 'dora', quantize: 'nf4' }),
  'f32 product': own('vitune, 128-bit', 'product', { ...matmul, ...narrow }),
  product: own('vitune', 'product', matmul),
} as const satisfies Record<string, Side>
export type SideName = keyof typeof sides

/** What an engine has, as the contender that ran said. */
export interface Engine {
  /** Products of integers by the relaxed dot instruction, and one instruction of the processor for it: Node 24 or newer, VNNI. */
  readonly dot: boolean
  /** Vectors of 256 bits. */
  readonly wide: boolean
}

export interface Target {
  readonly what: string
  /** `time`: milliseconds, by round. `packed`: bytes of packed weights by theirs in f32. `saved`: what the process's highest
   * memory shrank by what the weights shrank. */
  readonly measure: 'time' | 'packed' | 'saved'
  readonly of: SideName
  readonly by: SideName
  readonly limit: number
  readonly atMost?: false
  /** Where it is a target; everywhere without it. */
  readonly where?: (engine: Engine) => boolean
}

const dot = (engine: Engine) => engine.dot
const wide = (engine: Engine) => engine.wide
const both = (engine: Engine) => engine.dot && engine.wide
const noDot = (engine: Engine) => !engine.dot
const time = (what: string, of: SideName, by: SideName, limit: number, where?: Target['where']): Target => ({
  what,
  measure: 'time',
  of,
  by,
  limit,
  ...(where ? { where } : {}),
})

export const targets: readonly Target[] = [
  time("int8 forward, of own f32's time (both 128-bit)", 'int8 forward', 'f32 forward', 0.42, dot),
  time("int8 forward, of onnxruntime-web's f32 model's time", 'wide int8 forward', 'web forward', 0.2, dot),
  time("int8 forward, of onnxruntime-web's int8 model's time", 'wide int8 forward', 'web int8 forward', 0.8, dot),
  time("int8 forward, of PyTorch's f32 time", 'wide int8 forward', 'torch forward', 1.25, dot),
  time("LoRA step over int8, of own f32's time (128-bit)", 'int8 LoRA', 'f32 LoRA', 0.5, dot),
  time("LoRA step over int8, of PyTorch's f32 time", 'int8 LoRA', 'torch LoRA', 1.35, dot),
  time("QLoRA step (NF4), of own LoRA step's time", 'QLoRA', 'LoRA', 1.1),
  time("QDoRA step (NF4), of own DoRA step's time", 'QDoRA', 'DoRA', 1.1),
  { what: 'NF4 weights, of their bytes in f32', measure: 'packed', of: 'QLoRA', by: 'LoRA', limit: 0.14 },
  {
    what: 'NF4: what the process has less at its peak, of what the weights have less',
    measure: 'saved',
    of: 'QLoRA',
    by: 'LoRA',
    limit: 0.8,
    atMost: false,
  },
  time('product with 256-bit vectors, of that without', 'product', 'f32 product', 1 / 1.5, wide),
  time('LoRA step with 256-bit vectors, of that without', 'LoRA', 'f32 LoRA', 0.72, wide),
  time("LoRA step with 256-bit vectors, of PyTorch's time", 'LoRA', 'torch LoRA', 2, wide),
  time("LoRA step over int8 with 256-bit vectors, of PyTorch's f32 time", 'wide int8 LoRA', 'torch LoRA', 1.1, both),
  time("no VNNI or Node below 24: int8 forward, of own f32's time", 'int8 forward', 'f32 forward', 1.1, noDot),
  time("no VNNI or Node below 24: LoRA step over int8, of own f32's time", 'int8 LoRA', 'f32 LoRA', 1.1, noDot),
  { what: 'int8 weights, of their bytes in f32', measure: 'packed', of: 'int8 LoRA', by: 'f32 LoRA', limit: 0.26 },
]
