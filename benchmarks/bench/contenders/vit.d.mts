// Types of vit.mjs.
import type { Backend, Batch, BatchSource, Method, Vit } from 'vitune'
import type { VitShape } from '../shapes.ts'

export function makeModel(
  backend: Backend,
  spec: { shape: VitShape; method: Method | 'forward' },
): { model: Vit; classes: string[] }
export function makeBatch(spec: { shape: VitShape; batch: number }): Batch
export function repeated(batch: Batch, batches: number): BatchSource
