// What is measured on the pictures set aside, in the page's words, and losses on one scale.
import type { TaskName } from '../labels/labels.ts'
import { tasks } from '../tasks/registry.ts'
import type { StoredRun } from '../web/types.ts'
import { percent, short } from './format.ts'

const titles: Readonly<Record<string, string>> = {
  accuracy: 'Accuracy',
  f1: 'F1',
  f1_micro: 'F1 of all labels',
  map: 'Mean precision',
  map_present: 'Mean precision, labels there',
  h_f1: 'F1 in the tree',
  group_accuracy: 'Accuracy by group',
  otx_accuracy: "OTX's accuracy",
  loss: 'Loss',
}

export const metricTitle = (name: string): string => titles[name] ?? name.replaceAll('_', ' ')
export const metricValue = (name: string, value: number): string => (name === 'loss' ? short(value) : percent(value))

/** How good a run is so far, by what chooses its best epoch; undefined before its first epoch. */
export function reached({ monitor, metrics }: Pick<StoredRun, 'monitor' | 'metrics'>): string | undefined {
  const value = metrics?.[monitor]
  return value === undefined ? undefined : metricValue(monitor, value)
}

/**
 * What the loss of a step over so many pictures is multiplied by to be that of one picture, as an epoch's is told: a task may
 * optimise a sum.
 */
export function perPicture(task: TaskName, loss: string | undefined, pictures: number): number {
  const kind = tasks[task]
  const labels = kind.bare?.(['a', 'b'])
  if (!labels || pictures === 0) return 1
  const { scales, epochScales = scales } = kind.create(labels, { loss })
  return epochScales([pictures])[0]! / scales([pictures])[0]!
}
