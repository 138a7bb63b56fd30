// What a model's outputs are, as config.json says it: Hugging Face's problem_type, and a field of our own for what that cannot say.
import { type KnownLabels, labelFacts, readLabelFacts, within } from '../labels/facts.ts'
import { createTask, tasks } from './registry.ts'
import type { Decoding } from './task.ts'

/** The labels that a file keeps, of which there is a task. Throws an InputError; `where` comes before what is wrong. */
export function keptLabels(value: unknown, classes: readonly string[], where: string): KnownLabels {
  const known = readLabelFacts(value, classes, where)
  const { space, thresholds: threshold, decoding } = known
  within(where, () => createTask(space, { threshold, decoding: decoding as Decoding | undefined }))
  return known
}

/** The fields of a config.json that say what a model's outputs are; Hugging Face's own where it has one. */
export function labelFields(known: KnownLabels): Record<string, unknown> {
  const { problemType } = tasks[known.space.task]
  return { ...(problemType === undefined ? {} : { problem_type: problemType }), vitune: { labels: labelFacts(known) } }
}

/** The labels that a config.json says a model with these classes has; undefined where it says nothing, `otherwise` what it is for. */
export function labelsIn(
  config: Readonly<Record<string, unknown>>,
  classes: readonly string[],
): KnownLabels | { otherwise: string } | undefined {
  const own = config.vitune as { labels?: unknown } | null | undefined
  if (own?.labels !== undefined) return keptLabels(own.labels, classes, 'config.json: vitune.labels')
  const type = config.problem_type ?? undefined
  if (type === undefined) return undefined
  const kind = Object.values(tasks).find(({ problemType }) => problemType === type)
  if (kind?.bare) return { space: kind.bare(classes) }
  return {
    otherwise: type === 'regression' ? 'are numbers to be estimated (regression)' : `are for ${JSON.stringify(type)}`,
  }
}
