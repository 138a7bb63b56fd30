// The model of a run, opened, compared with what the run began with, and made ready for its method.
import { adaptedLayers } from '../adapters/inject.ts'
import { methodOf } from '../adapters/methods.ts'
import type { Backend } from '../backend/backend.ts'
import { disposeModule } from '../nn/module.ts'
import { defaults } from '../settings/schema.ts'
import { loraOf } from '../settings/setting-rules.ts'
import { pick, type TrainSettings } from '../settings/settings.ts'
import { modelChanges } from '../use/fingerprint.ts'
import type { Change } from '../use/image-changes.ts'
import { type OpenModel, openModel } from '../use/open-model.ts'
import { decide, sizeOf } from './decide.ts'
import { roomBeside } from './feature-room.ts'
import { checkFits } from './fits.ts'
import { openFrom } from './from-run.ts'
import { type Plan, plan } from './plan.ts'
import type { Run } from './run.ts'
import { refuseChanges } from './run-images.ts'
import { openTeacher, shareFrozen, type Teacher } from './teacher.ts'
import type { TrainOptions } from './train-options.ts'

/** A model that can be trained. */
export interface RunModel {
  readonly opened: OpenModel
  readonly plan: Plan
  /** What of images and model is not as it was when the run began, and is accepted. */
  readonly changes: readonly Change[]
  /** Most bytes of the host to keep features of images in. */
  readonly featureBytes: number
  /** Frees the model, and the old one whose outputs are kept. */
  dispose(): void
}

/** The options that all models of a run are opened with. */
const shapeOf = (settings: TrainSettings) => pick(settings, 'inputSize', 'interpolation', 'allowNonFinite')

/** How the weights that do not train are packed: those of modules that are saved whole do. */
const packingIn = (settings: TrainSettings) => ({
  ...pick(settings, 'quantize', 'doubleQuant'),
  // What is stored packed stays so where it is frozen.
  ...(methodOf(settings.peft ?? defaults.peft).trains === 'all' ? ({ quantize: 'none' } as const) : {}),
  ...pick(settings, 'quantizeSkip'),
  modulesToSave: loraOf(settings).modulesToSave,
})

/** The model that a run begins with, and whether something was merged in it. */
async function openBeginning(
  backend: Backend,
  options: TrainOptions,
  { settings, images, before }: Run,
): Promise<{ opened: OpenModel; merged: boolean }> {
  const fingerprint = settings.out !== undefined
  if (settings.from !== undefined) {
    const more = { ...options.hub, ...shapeOf(settings), ...packingIn(settings), fingerprint }
    const { opened, whole, merged } = await openFrom(backend, settings, more, images.begun)
    // What it began with is not there to be looked at.
    if (!whole) opened.fingerprint = before!.fingerprint as NonNullable<OpenModel['fingerprint']>
    return { opened, merged }
  }
  const opened = await openModel(backend, settings.model, {
    ...options.hub,
    fingerprint,
    ...shapeOf(settings),
    ...packingIn(settings),
    ...pick(settings, 'adapter'),
    // The weights of a name may change on the hub between two parts of a run.
    commit: before?.commit,
  })
  return { opened, merged: false }
}

/**
 * Opens the model of a run; `again` after a loss of the device, when all was compared already. Whoever asks for it disposes
 * it. Throws InputError where it is not as the run began with, does not go with the settings, or would not fit into memory.
 */
export async function openRunModel(
  backend: Backend,
  options: TrainOptions,
  run: Run,
  again: boolean,
): Promise<RunModel> {
  const { images, before } = run
  const { folder } = images
  const { from, distill = defaults.distill } = run.settings
  const { opened, merged } = await openBeginning(backend, options, run)
  const { model } = opened
  let teacher: Teacher | undefined
  const dispose = () => {
    if (teacher) disposeModule(teacher.model)
    disposeModule(model)
  }
  try {
    const changes = before && !again ? [...images.changes, ...modelChanges(before, opened)] : []
    if (images.begun && !options.acceptChanges) refuseChanges(changes)
    if (from !== undefined && distill > 0) {
      teacher = await openTeacher(backend, from, { ...options.hub, ...shapeOf(run.settings) })
    }
    const old = teacher && { labels: teacher.labels, shared: !merged }
    await decide(backend, run, opened, again, old)
    const { settings } = run
    const { peft, ...rest } = settings
    // What was asked for, where an adapter says what it is.
    const method = opened.lora && from === undefined ? options.peft : peft
    const planned = plan(
      { ...rest, ...(method && { peft: method }) },
      {
        model,
        preprocess: opened.preprocess,
        labels: folder.train.labelSpace,
        train: folder.train,
        unlabelled: images.unlabelled?.dataset,
        adapter: opened.lora,
        keep: from !== undefined,
        teacher,
      },
    )
    if (teacher && !merged) shareFrozen(teacher.model, model)
    const { prepared } = planned
    const adapted = prepared.lora && { ...prepared.lora, targetModules: adaptedLayers(model).map(({ name }) => name) }
    const keeps = {
      train: planned.repeats.train ? folder.train.length : 0,
      val: planned.repeats.val ? (folder.val?.length ?? 0) : 0,
    }
    const need = await checkFits(
      { ...sizeOf(settings, opened, run, { lora: adapted, teacher: old }), method: planned.method, keeps },
      backend,
    )
    const featureBytes = Math.min(need.features, roomBeside(need.reserved))
    return { opened, plan: planned, changes, featureBytes, dispose }
  } catch (error) {
    dispose()
    throw error
  }
}
