// How the images of a set are labelled, as people do it, and what is then learnt unless something else is said.
import type { TaskName } from './labels.ts'

/** One class each, any number of labels, or one class of a tree. */
export type Labelling = 'classes' | 'labels' | 'tree'

export const taskOfLabelling: Readonly<Record<Labelling, TaskName>> = {
  classes: 'multiclass',
  labels: 'multilabel',
  tree: 'hierarchical',
}
