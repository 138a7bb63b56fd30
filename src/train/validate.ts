// A validation within training: it can be stopped, and what was trained is saved before it is long.
import type { Model } from '../nn/model.ts'
import type { Task } from '../tasks/task.ts'
import type { BatchSource } from './batch.ts'
import { type Evaluation, evaluate } from './evaluate.ts'

export interface ValidateOptions {
  readonly microBatch: number
  readonly signal: AbortSignal | undefined
  /** Saves the state of training. */
  readonly save: () => Promise<void>
}

/**
 * Undefined where the signal ended it. Before that the state is saved, and in any case once this has taken a second: so that no
 * second signal loses the epoch, and no state is saved whose outputs are not finite.
 */
export async function validate(
  model: Model,
  task: Task,
  source: BatchSource,
  { microBatch, signal, save }: ValidateOptions,
): Promise<Evaluation | undefined> {
  const begun = performance.now()
  const stopped = new Error('stopped')
  let kept = false
  const between = async () => {
    if (!kept && (signal?.aborted || performance.now() - begun > 1000)) {
      kept = true
      await save()
    }
    if (signal?.aborted) throw stopped
  }
  try {
    return await evaluate(model, task, source, { microBatch, between })
  } catch (error) {
    if (error === stopped) return undefined
    throw error
  }
}
