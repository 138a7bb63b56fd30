// The model of a run, opened, compared with what the run began with, and made ready for its method.
import { adaptedLayers } from '../adapters/inject.ts'
import type { Backend } from '../backend/backend.ts'
import { disposeModule } from '../nn/module.ts'
import { pick } from '../settings/settings.ts'
import { modelChanges } from '../use/fingerprint.ts'
import type { Change } from '../use/image-changes.ts'
import { type OpenModel, openModel } from '../use/open-model.ts'
import { decide, sizeOf } from './decide.ts'
import { checkFits } from './fits.ts'
import { type Plan, plan } from './plan.ts'
import type { Run } from './run.ts'
import { refuseChanges } from './run-images.ts'
import type { TrainOptions } from './train-options.ts'

/** A model that can be trained. */
export interface RunModel {
  readonly opened: OpenModel
  readonly plan: Plan
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
  run: Run,
  again: boolean,
): Promise<RunModel> {
  const { images, before } = run
  const { folder } = images
  const { out } = run.settings
  const opened = await openModel(backend, run.settings.model, {
    ...options.hub,
    fingerprint: out !== undefined,
    ...pick(run.settings, 'inputSize', 'interpolation', 'adapter', 'allowNonFinite'),
    // The weights of a name may change on the hub between two parts of a run.
    commit: before?.commit,
  })
  const { model } = opened
  try {
    const changes = before && !again ? [...images.changes, ...modelChanges(before, opened)] : []
    if (images.begun && !options.acceptChanges) refuseChanges(changes)
    await decide(backend, run, opened, again)
    const { settings } = run
    const { peft, ...rest } = settings
    // What was asked for, where an adapter says what it is.
    const method = opened.lora ? options.peft : peft
    const planned = plan(
      { ...rest, ...(method && { peft: method }) },
      {
        model,
        preprocess: opened.preprocess,
        labels: folder.train.labelSpace,
        train: folder.train,
        adapter: opened.lora,
      },
    )
    const { prepared } = planned
    const adapted = prepared.lora && { ...prepared.lora, targetModules: adaptedLayers(model).map(({ name }) => name) }
    await checkFits({ ...sizeOf(settings, opened, run, adapted), method: planned.method }, backend)
    return { opened, plan: planned, changes }
  } catch (error) {
    disposeModule(model)
    throw error
  }
}
