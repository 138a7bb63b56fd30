// What outputs say when labels are there from other scores on, without the model again: for thresholds that a page has as sliders.
import { type KnownLabels, type LabelFacts, readLabelFacts } from '../labels/facts.ts'
import { createTask } from '../tasks/registry.ts'
import type { Decoding, Prediction, Task } from '../tasks/task.ts'

/** From which score on a label is there: one for all, or one a label. */
export type Thresholds = number | readonly number[]

/** The task of labels as far as they are known, with other thresholds where they are given. Throws an InputError where they mean nothing to it. */
export const taskWith = (
  { space, thresholds, decoding }: KnownLabels,
  threshold: Thresholds | undefined = thresholds,
): Task => createTask(space, { threshold, decoding: decoding as Decoding | undefined })

/**
 * Reads the outputs (`logits` of a prediction) of a model with these classes and labels, as `session.open` tells them, or run.json;
 * thresholds are the model's own unless given. Throws an InputError on thresholds that mean nothing to it.
 */
export function decide(
  { classes, labels }: { readonly classes: readonly string[]; readonly labels: LabelFacts },
  logits: readonly number[],
  thresholds?: Thresholds,
): Prediction {
  return taskWith(readLabelFacts(labels, classes, 'labels'), thresholds).predict(Float32Array.from(logits))
}
