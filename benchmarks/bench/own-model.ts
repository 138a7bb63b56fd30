// Training steps of vitune on any backend, seen one dispatch at a time: what profile and traffic look into.
import type { Method } from 'vitune/adapters'
import type { Backend } from 'vitune/tensor'
import { type FitEvent, fit, multiclass } from 'vitune/train'
import { makeBatch, makeModel, repeated } from './contenders/vit.mjs'
import type { VitShape } from './shapes.ts'

export interface OwnSteps {
  readonly shape: VitShape
  readonly method: Method
  /** How frozen weights are packed; f32 without it. */
  readonly quantize?: 'nf4' | 'int8'
  readonly batch: number
  readonly steps: number
  readonly checkpointing?: boolean
}

/** Training steps as `fit` takes them, each dispatched anew and not replayed, so that a backend's dispatch sees all. */
export function ownSteps(backend: Backend, options: OwnSteps): AsyncGenerator<FitEvent> {
  const { steps, checkpointing = false } = options
  const { model, classes } = makeModel(backend, options)
  const train = repeated(makeBatch(options), steps)
  return fit({ model, task: multiclass(classes), train, epochs: 1, lr: 1e-4, checkpointing, replay: false })
}
