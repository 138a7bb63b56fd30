// What the recipe of a run decides, once images and model are there: settings that nobody gave, with the reasons.
import type { LoraConfig } from '../adapters/lora-config.ts'
import { methodFor } from '../adapters/methods.ts'
import type { Backend } from '../backend/backend.ts'
import { defaults } from '../settings/schema.ts'
import { checkSettings, complete, loraOf, withRecipe } from '../settings/setting-rules.ts'
import { pick, type TrainSettings } from '../settings/settings.ts'
import type { OpenModel } from '../use/open-model.ts'
import type { EstimateOptions } from './estimate.ts'
import { largestBatch } from './fits.ts'
import type { Run } from './run.ts'

/** What training with these settings is like in memory; `lora` where the layers that it adapts are known, with an old model beside it. */
export function sizeOf(
  { batchSize = defaults.batchSize, ...settings }: TrainSettings,
  { model, lora: own }: Pick<OpenModel, 'model' | 'lora'>,
  { images: { folder } }: Pick<Run, 'images'>,
  more: { lora?: LoraConfig | undefined; teacher?: EstimateOptions['teacher'] } = {},
): EstimateOptions {
  const { train, val } = folder
  return {
    config: model.config,
    labels: train.labelSpace,
    method: own ? methodFor(own) : (settings.peft ?? defaults.peft),
    // As large as the data makes them.
    batchSize: Math.min(batchSize, Math.max(train.length, val?.length ?? 0)),
    accumulate: Math.min(settings.accumulate ?? 1, Math.ceil(train.length / batchSize)),
    lora: more.lora ?? own ?? loraOf(settings),
    teacher: more.teacher,
    validates: val !== undefined,
    ...(settings.unlabelled === undefined ? {} : pick(settings, 'unlabelledRatio')),
    ...pick(settings, 'optimizer', 'microBatch', 'checkpointing', 'clip', 'patchKeep', 'ema'),
    ...pick(settings, 'quantize', 'doubleQuant', 'quantizeSkip'),
  }
}

/** Settles all settings of a run. One that goes on, or begins again on another device, has what it was begun with. */
export async function decide(
  backend: Backend,
  run: Run,
  opened: OpenModel,
  again: boolean,
  teacher?: EstimateOptions['teacher'],
): Promise<void> {
  const { settings, images, before } = run
  const { train, val } = images.folder
  const facts = {
    method: opened.lora ? methodFor(opened.lora) : (settings.peft ?? defaults.peft),
    task: train.labelSpace.task,
    images: train.length,
    labels: train.labelSpace.names.length,
    validates: val !== undefined,
    inputSize: Math.min(...opened.model.config.imageSize),
    features: opened.model.features,
  }
  // What a range test begins with, also where a run goes on that was cut off before its test had ended.
  if (settings.lr === 'auto') {
    const { lr: _, ...others } = settings
    const { lr } = withRecipe<Partial<TrainSettings>>(others, facts).settings
    if (typeof lr === 'number') run.usualRate = lr
  }
  if (again || before) {
    run.settings = complete(settings)
    return
  }
  let decided = withRecipe(settings, facts)
  const { batchSize } = decided.settings
  if (batchSize !== undefined && settings.batchSize === undefined) {
    const largest = await largestBatch(sizeOf(decided.settings, opened, run, { teacher }), backend)
    if (largest < batchSize) decided = withRecipe(settings, { ...facts, largestBatch: largest })
  }
  run.settings = complete(decided.settings)
  checkSettings(run.settings)
  run.reasons = decided.reasons
}
