// Predictions of a model for files and decoded images, batch by batch, in the order given.
import { decodeSource, nameOf } from '../data/dataset.ts'
import { loadBatches } from '../data/loader.ts'
import { evalTransform } from '../data/transforms.ts'
import { multiclassLabels } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import type { ImageSource } from '../platform/platform.ts'

import { checkRules, flag, func, object, type RulesOf, someOf } from '../schema/rules.ts'
import { settingRules } from '../settings/schema.ts'
import { createTask, taskNames } from '../tasks/registry.ts'
import type { Prediction, Task } from '../tasks/task.ts'

import { logitsOf } from '../train/evaluate.ts'
import { taskWith } from './decide.ts'
import type { OpenModel } from './open-model.ts'

/** A prediction and the file, or the made-up name, of its image. */
export interface ImagePrediction extends Prediction {
  file: string
}

export interface PredictOptions {
  /** Default: what the model's files say. */
  task?: Task
  batchSize?: number
  /** Told of every image that could not be decoded and is therefore left out. */
  onBroken?: (file: string, reason: string) => void
  /** Throw an InputError at the first broken image instead. */
  strict?: boolean
  /** Images looked at so far. */
  onProgress?: (done: number, total: number) => void
}

/** What a prediction needs of an opened model. */
export type Predictor = Pick<OpenModel, 'model' | 'preprocess' | 'source' | 'labels' | 'otherwise'>

const rules: RulesOf<PredictOptions> = {
  task: object,
  batchSize: settingRules.batchSize,
  onBroken: func,
  strict: flag,
  onProgress: func,
}

/** What the model predicts; throws an InputError when it has no classifier, or one of another meaning. */
export function taskOf({ model, source, labels, otherwise }: Omit<Predictor, 'preprocess'>): Task {
  const { classes } = model.config
  if (otherwise !== undefined) {
    throw new InputError(
      `${source}: its outputs ${otherwise}, which is none of ${taskNames.join(', ')}; train one from it: vitune train --model ${source} ...`,
    )
  }
  if (!model.head || classes.length === 0) {
    throw new InputError(
      `${source}: has no classifier to predict with; train one first: vitune train --model ${source} ...`,
    )
  }
  // A classifier may have been put on since the files were read.
  const own = labels?.space.names.every((name, i) => name === classes[i]) ? labels : undefined
  if (own?.space.names.length !== classes.length) return createTask(multiclassLabels(classes))
  return taskWith(own)
}

/**
 * Predicts images, however they are given (see `toRgbImage`); those without a name are called `image 0`, `image 1`... by
 * their place. Broken ones are left out and reported to `onBroken`. Throws an InputError when the model has no
 * classifier or not one image could be read.
 */
export async function predict(
  opened: Predictor,
  images: readonly ImageSource[],
  options: PredictOptions = {},
): Promise<ImagePrediction[]> {
  checkRules(options, rules)
  checkRules({ images: images ?? null }, { images: someOf('a list of images') })
  const { batchSize = 16, onBroken, strict = false, onProgress } = options
  const task = options.task ?? taskOf(opened)
  const dataset = {
    labelSpace: task.labels,
    classes: task.classes,
    length: images.length,
    labels: () => ({ present: [] }),
    file: (i: number) => nameOf(images[i]!, i),
    image: (i: number) => decodeSource(images[i]!, nameOf(images[i]!, i)),
  }
  const order = images.map((_, i) => i)
  const transform = evalTransform(opened.preprocess)
  const predictions: ImagePrediction[] = []
  let done = 0
  for await (const batch of loadBatches(dataset, order, { transform, batchSize, onBroken, strict })) {
    const { count } = batch
    const logits = count > 0 ? await logitsOf(opened.model, batch) : new Float32Array(0)
    for (let i = 0; i < count; i++) {
      const one = logits.subarray(i * task.outputs, (i + 1) * task.outputs)
      predictions.push({ file: batch.names[i]!, ...task.predict(one) })
    }
    done = Math.min(images.length, done + batchSize)
    onProgress?.(done, images.length)
  }
  return predictions
}
