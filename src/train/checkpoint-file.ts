// The training checkpoint: one safetensors file with every trained weight and moment, the counters in its metadata.
// One file, written whole: a run is never left half saved.
import type { Backend } from '../backend/backend.ts'
import { openSafetensors } from '../io/safetensors.ts'
import { type TensorToWrite, writeSafetensors } from '../io/safetensors-write.ts'
import { InputError } from '../platform/errors.ts'
import { tensor } from '../tensor/tensor.ts'
import type { FitState } from './fit-options.ts'

export async function writeCheckpoint(path: string, state: FitState): Promise<void> {
  const tensors: TensorToWrite[] = []
  for (const [name, t] of state.tensors) tensors.push({ name, shape: t.shape, data: (await t.data()) as Float32Array })
  await writeSafetensors(path, tensors, { format: 'pt', state: JSON.stringify(state.numbers) })
}

/** The state, its tensors new on the backend; the caller disposes them. Throws InputError on a file that is not one. */
export async function readCheckpoint(backend: Backend, path: string): Promise<FitState> {
  const file = await openSafetensors(path)
  let numbers: FitState['numbers'] | undefined
  try {
    numbers = JSON.parse(file.metadata.state ?? '')
  } catch {}
  if (typeof numbers?.step !== 'number' || typeof numbers.epoch !== 'number') {
    throw new InputError(`${path}: must be a training checkpoint that vitune wrote, got no state in it`)
  }
  const tensors: FitState['tensors'] = []
  for (const name of file.names()) tensors.push([name, tensor(backend, await file.read(name), file.info(name).shape)])
  return { numbers, tensors }
}
