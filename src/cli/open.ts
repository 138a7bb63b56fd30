// The trained model that a verb works on: --run, or --model with perhaps --adapter.
import type { Command } from 'commander'
import type { Backend } from '../backend/backend.ts'
import { createBackend } from '../backend/create.ts'
import type { Device } from '../backend/devices.ts'
import { localFiles } from '../io/local-files.ts'
import { areGeneric, parseLabels } from '../models/labels.ts'
import { disposeModule } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { only } from '../schema/setting.ts'
import type { Quantize } from '../settings/quantize.ts'
import { settings } from '../settings/schema.ts'
import { checkThresholds } from '../tasks/registry.ts'
import type { Task } from '../tasks/task.ts'
import { taskWith } from '../use/decide.ts'
import { type OpenModel, openModel, openRun } from '../use/open-model.ts'
import { taskOf } from '../use/predict.ts'
import { findRun, packingIn, readRun, runLabels } from '../use/run-file.ts'
import { downloads } from './downloads.ts'
import { oneLine } from './format.ts'
import { addSettings, numberOption } from './options.ts'
import type { Ui } from './ui.ts'

export interface ModelFlags {
  run?: string
  model?: string
  adapter?: string
  labels?: string
  threshold?: number
  allowNonFinite?: boolean
  quantize?: Quantize
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

/** Adds --run, --model, --adapter and what they may need. */
export function addModel(command: Command): Command {
  command
    .optionsGroup('Model:')
    .option('--run <dir>', 'a folder that vitune train wrote')
    .option('--model <dir|name>', 'a model folder, or a name on the hub, instead of a run')
    .option('--adapter <dir>', 'an adapter folder (PEFT format) to put on --model')
    .option('--labels <file>', 'names of its classes: one a line, or JSON, where the model has none')
  return addSettings(command, only(settings, 'allowNonFinite'))
}

/** Adds --quantize to a verb that computes outputs. */
export function addQuantize(
  command: Command,
  description = 'weights in 4 or 8 bits; int8 multiplies integers (default: as the run was trained)',
): Command {
  return addSettings(command, { quantize: { ...settings.quantize, description, default: undefined } })
}

/** What decides which labels are there, in place of what the model brings. */
export const thresholdOption = () =>
  numberOption('--threshold <x>', "score from which a label is there, in (0, 1) (default: the model's own, else 0.5)")

/** What the model predicts; with a threshold that was given in place of its own. */
function chosenTask(opened: OpenModel, threshold: number | undefined): Task {
  const task = taskOf(opened)
  if (threshold === undefined) return task
  if (!(threshold > 0 && threshold < 1)) throw new InputError(`threshold: must be in (0, 1), got ${threshold}`)
  const chosen = taskWith({ ...opened.labels, space: task.labels }, threshold)
  checkThresholds(chosen)
  return chosen
}

/** Checks which model is meant. Throws an InputError on too many or too few of the three flags. */
export function checkModel({ run, model, adapter }: ModelFlags): void {
  if (run === undefined && model === undefined) throw new InputError('which model? give --run RUN, or --model DIR')
  if (run !== undefined && model !== undefined) throw new InputError('--run and --model: give one of them, got both')
  if (run !== undefined && adapter !== undefined) {
    throw new InputError('--adapter: goes with --model; a run has its own adapter')
  }
}

/** Gives the model's outputs the names in a file; throws an InputError where they are not as many. */
async function nameClasses(opened: OpenModel, path: string): Promise<readonly string[]> {
  const { model, labels } = opened
  const files = localFiles(path)
  if ((await files.kind(path)) !== 'file') throw new InputError(`--labels: must be a file, got ${path}`)
  const { names, notes } = parseLabels(await files.read(path), model.config.classes.length, path)
  model.config.classes = names
  opened.labels = { ...labels, space: { ...labels!.space, names } }
  return notes
}

const unnamed = (classes: readonly string[]): string[] =>
  areGeneric(classes) ? ['the model does not name its classes, they are numbered; --labels FILE names them'] : []

/**
 * Opens the model, gives it to `use`, and frees everything again. What there is to say of its files is said before the
 * results, and not where the input is refused.
 */
export async function withModel<T>(flags: ModelFlags, ui: Ui, use: (opened: Opened) => Promise<T>): Promise<T> {
  checkModel(flags)
  const { run: folder, model, adapter, labels } = flags
  const run = folder === undefined ? await findRun((adapter ?? model)!) : await readRun(folder)
  const backend = await createBackend(flags)
  const hub = { onProgress: downloads(ui), allowNonFinite: flags.allowNonFinite, quantize: flags.quantize }
  let opened: OpenModel | undefined
  try {
    // An adapter of ours says in its run.json which input size it was trained at.
    const { inputSize, interpolation } = run ?? {}
    const packed = run && flags.quantize === undefined ? packingIn(run) : {}
    opened =
      folder === undefined
        ? await openModel(backend, model!, { ...hub, ...packed, adapter, inputSize, interpolation })
        : await openRun(backend, folder, hub)
    ui.clear()
    const { outputs, classes } = taskOf(opened)
    if (run && folder !== undefined && labels === undefined) {
      if (run.classes.length !== outputs) {
        throw new InputError(`${folder}: run.json names ${run.classes.length} classes, its weights have ${outputs}`)
      }
      // A run knows its labels even where the adapter's own files do not.
      opened.labels = runLabels(run, `${folder}/run.json`)
    }
    const notes = labels === undefined ? unnamed(run?.classes ?? classes) : await nameClasses(opened, labels)
    const result = await use({ backend, opened, task: chosenTask(opened, flags.threshold), run })
    for (const note of [...opened.notes, ...notes]) ui.note(`note: ${oneLine(note)}`)
    return result
  } finally {
    if (opened) disposeModule(opened.model)
    await backend.dispose()
  }
}
