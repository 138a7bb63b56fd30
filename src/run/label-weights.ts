// By how much the presence of each label counts more than its absence: as given, or by how rare it is.
import type { Dataset } from '../data/dataset.ts'
import type { LabelSpace } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'

/** How many images have each label, and of how many that is known. */
function counted({ names }: LabelSpace, dataset: Dataset): { positives: number[]; known: number[] } {
  const positives = names.map(() => 0)
  const known = names.map(() => dataset.length)
  for (let i = 0; i < dataset.length; i++) {
    const { present, unknown = [] } = dataset.labels(i)
    for (const label of present) positives[label]!++
    for (const label of unknown) known[label]!--
  }
  return { positives, known }
}

/**
 * One weight a label: of a table by name, 1 for those that are not in it; for `balanced` the number of images without the label
 * over that with it, as PyTorch's pos_weight is usually set, and 1 where no image has it or all do.
 */
export function labelWeights(
  given: 'balanced' | Readonly<Record<string, number>>,
  labels: LabelSpace,
  train: Dataset | undefined,
): number[] {
  const { names } = labels
  if (typeof given !== 'string') {
    const strange = Object.keys(given).filter((name) => !names.includes(name))
    if (strange.length > 0) {
      throw new InputError(`positiveWeights: must name labels of the data, got also ${listed(strange, 3)}`)
    }
    return names.map((name) => (Object.hasOwn(given, name) ? given[name]! : 1))
  }
  if (!train) return names.map(() => 1)
  const { positives, known } = counted(labels, train)
  return names.map((_, i) => {
    const negatives = known[i]! - positives[i]!
    return negatives > 0 && positives[i]! > 0 ? negatives / positives[i]! : 1
  })
}
