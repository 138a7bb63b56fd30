// Types of vit.mjs.
import type { Method } from 'vitune/adapters'
import type { Vit } from 'vitune/models'
import type { Backend } from 'vitune/tensor'
import type { Batch, BatchSource } from 'vitune/train'
import type { VitShape } from '../shapes.ts'

export function makeModel(
  backend: Backend,
  spec: { shape: VitShape; method: Method | 'forward' },
): { model: Vit; classes: string[] }
export function makeBatch(spec: { shape: VitShape; batch: number }): Batch
export function repeated(batch: Batch, batches: number): BatchSource
