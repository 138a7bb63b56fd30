// The tasks that there are. What differs between them is asked of these entries; nobody compares their names.
import type { LabelSpace, TaskName } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import { hierarchicalTask } from './hierarchical.ts'
import { multiclassTask } from './multiclass.ts'
import { multilabelTask } from './multilabel.ts'
import type { Task, TaskKind, TaskOptions } from './task.ts'

export const tasks: Readonly<Record<TaskName, TaskKind>> = {
  multiclass: multiclassTask,
  multilabel: multilabelTask,
  hierarchical: hierarchicalTask,
}

export const taskNames = Object.keys(tasks) as TaskName[]

/** Throws InputError on options that mean nothing to a task, and on a loss that it has not; `where` comes before a name. */
export function checkTaskOptions(kind: TaskKind, options: Readonly<Record<string, unknown>>, where = ''): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || kind.options.includes(name as keyof TaskOptions)) continue
    throw new InputError(`${where}${name}: means nothing to task ${kind.name} (${kind.says}); leave it out`)
  }
  if (options.loss !== undefined && !kind.losses.includes(options.loss as string)) {
    throw new InputError(
      `${where}loss: must be one of ${kind.losses.join(', ')} for task ${kind.name}, got ${options.loss}`,
    )
  }
}

/** Throws InputError where a threshold would change nothing: every label is in a group, which always gives one. */
export function checkThresholds(task: Task): void {
  if (task.metrics().thresholds) return
  throw new InputError('threshold: changes nothing where every label is in a group of which one is there; leave it out')
}

/** The task of these labels. Throws an InputError on options that mean nothing to it. */
export function createTask(labels: LabelSpace, options: TaskOptions = {}): Task {
  const kind = tasks[labels.task]
  checkTaskOptions(kind, { ...options })
  return kind.create(labels, options)
}
