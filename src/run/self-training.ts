// Batches of labelled images joined with unlabelled ones of which a teacher says what they are (FixMatch, Sohn and others, 2020):
// the teacher, the model with the averages of its weights, looks at a weakly changed view, the model learns from a strongly changed
// one. The teacher is asked when a batch is wanted, so after the step before it, however far ahead pixels are made.
// Not here: which of its answers are learnt (tasks/self-training.ts).

import { augmentationsOf, type TrainTransformOptions } from '../data/augmentations.ts'
import type { Preprocess } from '../data/preprocess.ts'
import { evalTransform, type Transform, trainTransform } from '../data/transforms.ts'
import type { ViewBatch } from '../data/view-source.ts'
import type { Model } from '../nn/model.ts'
import type { SelfTrainingTask } from '../tasks/self-training.ts'
import { joinInputs } from '../tensor/host.ts'
import { type Batch, type BatchSource, defaultMicroBatch, partsOf } from '../train/batch.ts'
import { logitsOf } from '../train/evaluate.ts'

export interface SelfTrainingSource {
  readonly labelled: BatchSource
  /** The weak view first, then the strong one; as many batches an epoch as `labelled` has. */
  readonly unlabelled: { epoch(epoch: number, firstBatch: number): AsyncGenerator<ViewBatch, void, undefined> }
  readonly task: SelfTrainingTask
  readonly model: Model
  /** Most images that the teacher computes at a time. */
  readonly microBatch?: number | undefined
}

/** FixMatch's changes of colour and shape, Cubuk and others, 2020 (arXiv:1909.13719), beside crops: two at a third of their strength. */
const strongly = { crop: { area: [0.3, 1] }, randAugment: { ops: 2, magnitude: 10 } } as const

/** The two views of an image without a label: mirrored as labelled images are; the weak one is changed where these are. */
export function weakAndStrong(preprocess: Preprocess, changes: TrainTransformOptions | false): Transform[] {
  const { flip = 0, verticalFlip = 0 } = changes ? augmentationsOf(changes) : {}
  const mirrored = { ...(flip > 0 && { flip }), ...(verticalFlip > 0 && { verticalFlip }) }
  const weak = changes
    ? trainTransform(preprocess, { ...mirrored, crop: { area: [0.8, 1] } })
    : evalTransform(preprocess)
  return [weak, trainTransform(preprocess, { ...mirrored, ...strongly })]
}

/** What the model says of a batch, (B, K), computed in parts. */
async function outputsOf(model: Model, batch: Batch, most: number, k: number): Promise<Float32Array> {
  const outputs = new Float32Array(batch.count * k)
  let at = 0
  for (const part of partsOf(batch, most)) {
    outputs.set(await logitsOf(model, part), at)
    at += part.count * k
  }
  return outputs
}

/** The joined batches: labelled images first. Where no labelled image of a batch could be read it stays empty. */
export function selfTrainingSource(options: SelfTrainingSource): BatchSource {
  const { labelled, unlabelled, task, model, microBatch = defaultMicroBatch(model) } = options
  return {
    batches: labelled.batches,
    async *epoch(epoch, firstBatch, asKept = (fn) => fn()) {
      const others = unlabelled.epoch(epoch, firstBatch)
      try {
        for await (const { inputs, targets, count, names } of labelled.epoch(epoch, firstBatch)) {
          const { value: next } = await others.next()
          if (!next || count === 0) {
            yield { inputs, targets, count, names }
            continue
          }
          const [weak, strong] = next.views as [Batch['inputs'], Batch['inputs']]
          const seen = { inputs: weak, targets: {}, count: next.count, names: next.names }
          const asked = performance.now()
          const outputs = await asKept(() => outputsOf(model, seen, microBatch, task.outputs))
          const computeSeconds = (performance.now() - asked) / 1000
          yield {
            inputs: joinInputs(inputs, strong),
            targets: task.withTeacher(targets, count, outputs),
            count: count + next.count,
            names: [...names, ...next.names],
            computeSeconds,
          }
        }
      } finally {
        await others.return()
      }
    },
  }
}
