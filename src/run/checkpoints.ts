// Where a run continues from after a break: a checkpoint on disk, or in the host's memory where nothing is written.
import type { Backend } from '../backend/backend.ts'
import { localFiles } from '../io/local-files.ts'
import { defined } from '../settings/settings.ts'
import { tensor } from '../tensor/tensor.ts'
import type { FitState } from '../train/fit-options.ts'
import { type CheckpointNotes, readCheckpoint, writeCheckpoint } from './checkpoint-file.ts'

/** A state with what of its notes is known. */
export interface SavedState extends FitState, Omit<CheckpointNotes, 'run'> {}

export interface Checkpoints {
  save(state: SavedState): Promise<void>
  /** The last state, its tensors new on the backend for the caller to dispose; undefined where none was saved. */
  last(backend: Backend): Promise<SavedState | undefined>
}

/** Kept in this file, whole or as it was; `run` is the id of the run that it must belong to. */
export function checkpointsAt(path: string, run: string | undefined): Checkpoints {
  return {
    save: ({ numbers, tensors, ...notes }) =>
      writeCheckpoint(path, { numbers, tensors }, { ...notes, ...defined({ run }) }),
    async last(backend) {
      if ((await localFiles(path).kind(path)) !== 'file') return undefined
      const { notes, ...state } = await readCheckpoint(backend, path, run)
      return { ...state, ...notes }
    },
  }
}

/** Kept as copies in the host's memory. */
export function checkpointsInMemory(): Checkpoints {
  let kept: { numbers: FitState['numbers']; tensors: [string, readonly number[], Float32Array][] } | undefined
  return {
    async save({ numbers, tensors }) {
      const copies: [string, readonly number[], Float32Array][] = []
      for (const [name, t] of tensors) copies.push([name, t.shape, (await t.data()) as Float32Array])
      kept = { numbers: structuredClone(numbers), tensors: copies }
    },
    async last(backend) {
      if (!kept) return undefined
      return {
        numbers: structuredClone(kept.numbers),
        tensors: kept.tensors.map(([name, shape, data]) => [name, tensor(backend, data, shape)]),
      }
    },
  }
}
