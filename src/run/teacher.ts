// The old model beside one that is trained: frozen, on the same backend, asked for its outputs on each batch as it is trained on.
// What of its weights is the same as in the new model is held once.
import type { Backend } from '../backend/backend.ts'
import type { LabelSpace } from '../labels/labels.ts'
import type { AnyModel } from '../models/registry.ts'
import { disposeModule, namedModules, namedWeights } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import type { DistilledTask } from '../tasks/distill.ts'
import { Packed } from '../tensor/packed.ts'
import { Parameter } from '../tensor/tensor.ts'
import { type BatchSource, defaultMicroBatch, partsOf } from '../train/batch.ts'
import { logitsOf } from '../train/evaluate.ts'
import { type OpenRunOptions, openRun } from '../use/open-model.ts'
import { findRun } from '../use/run-file.ts'

/** An old model and what its outputs are. */
export interface Teacher {
  readonly model: AnyModel
  readonly labels: LabelSpace
}

/** Opens the model of the old run. Throws InputError where it is not there, or says nothing of what its outputs are. */
export async function openTeacher(backend: Backend, from: string, options: OpenRunOptions): Promise<Teacher> {
  if ((await findRun(from)) === undefined) {
    throw new InputError(`distill: needs the old run in ${from}, which is gone; put it back`)
  }
  const { model, labels } = await openRun(backend, from, options)
  if (labels) return { model, labels: labels.space }
  disposeModule(model)
  throw new InputError(`distill: needs an old run with a classifier, got none in ${from}; leave distill out`)
}

/** Batches with the old model's outputs among their targets. */
export function taught(
  source: BatchSource,
  { model }: Teacher,
  task: DistilledTask,
  microBatch = defaultMicroBatch(model),
): BatchSource {
  return {
    batches: source.batches,
    async *epoch(epoch, firstBatch) {
      for await (const batch of source.epoch(epoch, firstBatch)) {
        if (batch.count === 0) {
          yield batch
          continue
        }
        const asked = performance.now()
        const outputs = new Float32Array(batch.count * task.shared.before)
        let at = 0
        for (const part of partsOf(batch, microBatch)) {
          const some = await logitsOf(model, part)
          outputs.set(some, at)
          at += some.length
        }
        const targets = { ...batch.targets, ...task.oldTargets(outputs, batch.count) }
        yield { ...batch, targets, computeSeconds: (performance.now() - asked) / 1000 }
      }
    },
  }
}

/**
 * Has the old model hold the new one's weights wherever these are frozen, so that they are in memory once. Both were opened from
 * the same files, and nothing was merged in the new one.
 */
export function shareFrozen(teacher: AnyModel, model: AnyModel): void {
  const frozen = new Map([...namedWeights(model)].filter(([, p]) => !p.trainable))
  for (const [path, module] of [['', teacher] as const, ...namedModules(teacher)]) {
    for (const [field, value] of Object.entries(module)) {
      const same = frozen.get(path === '' ? field : `${path}.${field}`)
      if (!same || same.size !== value?.size) continue
      const fields = module as unknown as Record<string, Parameter | Packed>
      if (value instanceof Parameter && same instanceof Parameter) fields[field] = new Parameter(same, value.shape)
      else if (value instanceof Packed && same instanceof Packed && value.layout === same.layout) {
        fields[field] = same.alias()
      } else continue
      value.dispose()
    }
  }
}
