// The trained model that a verb works on: --run, or --model with perhaps --adapter.
import type { Command } from 'commander'
import type { Backend } from '../backend/backend.ts'
import { createBackend, type Device } from '../backend/create.ts'
import { localFiles } from '../io/local-files.ts'
import { disposeModule } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { type OpenModel, openModel, openRun } from '../train/open-model.ts'
import { taskOf } from '../train/predict.ts'
import { readRun } from '../train/run-file.ts'
import { multiclass, type Task } from '../train/task.ts'
import { downloads } from './downloads.ts'
import { oneLine } from './format.ts'
import type { Ui } from './ui.ts'

export interface ModelFlags {
  run?: string
  model?: string
  adapter?: string
  device?: Device
  threads?: number
}

export interface Opened {
  backend: Backend
  opened: OpenModel
  task: Task
  /** The run's, the adapter's or the model's own record, where there is one. */
  run: Record<string, unknown> | undefined
}

/** Adds --run, --model and --adapter. */
export function addModel(command: Command): Command {
  return command
    .optionsGroup('Model:')
    .option('--run <dir>', 'a folder that vitune train wrote')
    .option('--model <dir|name>', 'a model folder, or a name on the hub, instead of a run')
    .option('--adapter <dir>', 'an adapter folder (PEFT format) to put on --model')
}

/** Checks which model is meant. Throws an InputError on too many or too few of the three flags. */
export function checkModel({ run, model, adapter }: ModelFlags): void {
  if (run === undefined && model === undefined) throw new InputError('which model? give --run RUN, or --model DIR')
  if (run !== undefined && model !== undefined) throw new InputError('--run and --model: give one of them, got both')
  if (run !== undefined && adapter !== undefined) {
    throw new InputError('--adapter: goes with --model; a run has its own adapter')
  }
}

async function recordOf(folder: string | undefined): Promise<Record<string, unknown> | undefined> {
  if (folder === undefined) return undefined
  const files = localFiles(folder)
  return (await files.kind(files.join(folder, 'run.json'))) === 'file' ? readRun(folder) : undefined
}

/** Opens the model, gives it to `use`, and frees everything again. */
export async function withModel<T>(flags: ModelFlags, ui: Ui, use: (opened: Opened) => Promise<T>): Promise<T> {
  checkModel(flags)
  const { run: folder, model, adapter } = flags
  const run = folder === undefined ? await recordOf(adapter ?? model) : await readRun(folder)
  const backend = await createBackend(flags)
  const hub = { onProgress: downloads(ui) }
  let opened: OpenModel | undefined
  try {
    // An adapter of ours says in its run.json which input size it was trained at.
    const { inputSize, interpolation } = (run ?? {}) as Pick<
      Awaited<ReturnType<typeof readRun>>,
      'inputSize' | 'interpolation'
    >
    opened =
      folder === undefined
        ? await openModel(backend, model!, { ...hub, adapter, inputSize, interpolation })
        : await openRun(backend, folder, hub)
    ui.clear()
    for (const note of opened.notes) ui.note(`note: ${oneLine(note)}`)
    const own = taskOf(opened)
    const named = folder === undefined ? undefined : (run?.classes as string[])
    if (named && named.length !== own.outputs) {
      throw new InputError(`${folder}: run.json names ${named.length} classes, its weights have ${own.outputs}`)
    }
    return await use({ backend, opened, task: named ? multiclass(named) : own, run })
  } finally {
    if (opened) disposeModule(opened.model)
    await backend.dispose()
  }
}
