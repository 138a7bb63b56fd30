// The model of a run, opened, compared with what the run began with, and made ready for its method.
import { adaptedLayers } from '../adapters/inject.ts'
import { type Method, methodFor, methodOf } from '../adapters/methods.ts'
import type { Backend } from '../backend/backend.ts'
import { countParameters, disposeModule } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { loraOf } from '../settings/setting-rules.ts'
import { defaults, pick } from '../settings/settings.ts'
import { modelChanges } from '../use/fingerprint.ts'
import type { Change } from '../use/image-changes.ts'
import { type OpenModel, openModel } from '../use/open-model.ts'
import { checkFits } from './fits.ts'
import { type Prepared, prepare } from './prepare.ts'
import type { Run } from './run.ts'
import { refuseChanges } from './run-images.ts'
import type { TrainOptions } from './train-options.ts'

/** A model that can be trained. */
export interface RunModel {
  readonly opened: OpenModel
  readonly method: Method
  readonly prepared: Prepared
  readonly lr: number
  readonly counts: { readonly trainable: number; readonly total: number }
  /** What of images and model is not as it was when the run began, and is accepted. */
  readonly changes: readonly Change[]
}

/**
 * Opens the model of a run; `again` after a loss of the device, when all was compared already. Whoever asks for it disposes
 * the model. Throws InputError where it is not as the run began with, does not go with the settings, or would not fit into memory.
 */
export async function openRunModel(
  backend: Backend,
  options: TrainOptions,
  { settings, images, before }: Run,
  again: boolean,
): Promise<RunModel> {
  const { folder } = images
  const { out, seed = defaults.seed, batchSize = defaults.batchSize } = settings
  const opened = await openModel(backend, settings.model, {
    ...options.hub,
    fingerprint: out !== undefined,
    ...pick(settings, 'inputSize', 'interpolation', 'adapter', 'allowNonFinite'),
    // The weights of a name may change on the hub between two parts of a run.
    commit: before?.commit,
  })
  const { model } = opened
  try {
    const changes = before && !again ? [...images.changes, ...modelChanges(before, opened)] : []
    if (images.begun && !options.acceptChanges) refuseChanges(changes)
    const method: Method = opened.lora ? methodFor(opened.lora) : (settings.peft ?? defaults.peft)
    if (opened.lora && options.peft !== undefined && options.peft !== method) {
      throw new InputError(
        `adapter: ${settings.adapter} is a ${method} adapter, got peft ${options.peft}; leave peft out`,
      )
    }
    model.setDropout(pick(settings, 'dropout', 'dropPath', 'patchKeep'))
    const prepared = prepare(model, folder.classes, method, { seed, lora: loraOf(settings), adapter: opened.lora })
    await checkFits(
      {
        config: model.config,
        classes: folder.classes,
        method,
        // As large as the data makes them.
        batchSize: Math.min(batchSize, Math.max(folder.train.length, folder.val?.length ?? 0)),
        accumulate: Math.min(settings.accumulate ?? 1, Math.ceil(folder.train.length / batchSize)),
        lora: prepared.lora && { ...prepared.lora, targetModules: adaptedLayers(model).map(({ name }) => name) },
        validates: folder.val !== undefined,
        ...pick(settings, 'optimizer', 'microBatch', 'checkpointing', 'clip', 'patchKeep'),
      },
      backend,
    )
    return {
      opened,
      method,
      prepared,
      lr: settings.lr ?? methodOf(method).defaultRate,
      counts: countParameters(model),
      changes,
    }
  } catch (error) {
    disposeModule(model)
    throw error
  }
}
