// What outputs say when labels are there from other scores on, without the model again: for thresholds that a page has as sliders.
import { type LabelFacts, readLabelFacts } from '../labels/facts.ts'
import { createTask } from '../tasks/registry.ts'
import type { Prediction, Task } from '../tasks/task.ts'

/** From which score on a label is there: one for all, or one a label. */
export type Thresholds = number | readonly number[]

/** The same task with other thresholds. Throws an InputError where they mean nothing to it. */
export const withThresholds = ({ labels }: Pick<Task, 'labels'>, threshold: Thresholds): Task =>
  createTask(labels, { threshold })

/**
 * Reads the outputs (`logits` of a prediction) of a model with these classes and labels, as `session.open` tells them, or run.json;
 * thresholds are the model's own unless given. Throws an InputError on thresholds that mean nothing to it.
 */
export function decide(
  { classes, labels }: { readonly classes: readonly string[]; readonly labels: LabelFacts },
  logits: readonly number[],
  thresholds?: Thresholds,
): Prediction {
  const { space, thresholds: own } = readLabelFacts(labels, classes, 'labels')
  const limits = thresholds ?? own
  const task = limits === undefined ? createTask(space) : withThresholds({ labels: space }, limits)
  return task.predict(Float32Array.from(logits))
}
