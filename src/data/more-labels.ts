// Data seen as of more labels than it has: places move, and of what it has never heard of nothing is known.
import type { LabelSpace } from '../labels/labels.ts'
import type { Dataset } from './dataset.ts'
import type { LabelledData } from './open-data.ts'

/** The same images; labels that are there or not by themselves and that the dataset lacks are unknown in all of them. */
function datasetOf<D extends Dataset | undefined>(dataset: D, labelSpace: LabelSpace): D {
  if (!dataset) return dataset
  const at = new Map(labelSpace.names.map((name, i) => [name, i]))
  const place = dataset.classes.map((name) => at.get(name)!)
  const grouped = new Set(labelSpace.groups.flat())
  const known = new Set(place)
  const strange = labelSpace.names.map((_, i) => i).filter((i) => !known.has(i) && !grouped.has(i))
  return {
    ...dataset,
    labelSpace,
    classes: labelSpace.names,
    labels(i) {
      const { present, unknown = [] } = dataset.labels(i)
      const moved = unknown.map((label) => place[label]!)
      const all = [...moved, ...strange]
      return { present: present.map((label) => place[label]!), ...(all.length > 0 && { unknown: all }) }
    },
  }
}

/** All parts of the data as of these labels, among which are all of its own. */
export const withMoreLabels = (data: LabelledData, labelSpace: LabelSpace): LabelledData => ({
  ...data,
  labelSpace,
  classes: labelSpace.names,
  train: datasetOf(data.train, labelSpace),
  val: datasetOf(data.val, labelSpace),
  test: datasetOf(data.test, labelSpace),
})
