// Types of vit.mjs.
import type { LoraConfig, Method } from 'vitune/adapters'
import type { Vit } from 'vitune/models'
import type { Backend } from 'vitune/tensor'
import type { Batch, BatchSource } from 'vitune/train'
import type { VitShape } from '../shapes.ts'

export function makeModel(
  backend: Backend,
  spec: {
    shape: VitShape
    method: Method | 'forward'
    quantize?: 'nf4' | 'int8' | undefined
    /** nf4, default true. */
    doubleQuant?: boolean | undefined
  },
): {
  model: Vit
  classes: string[]
  lora: LoraConfig | undefined
  /** Bytes of the packed weights, and what they would be in f32. */
  packed: { bytes: number; f32: number }
}
export function makeBatch(spec: { shape: VitShape; batch: number }): Batch
export function repeated(batch: Batch, batches: number): BatchSource
