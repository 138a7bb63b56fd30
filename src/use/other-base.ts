// Whether an adapter is put on the model that it was trained on, as far as its files tell.
import type { Adapter } from '../adapters/peft/folder.ts'

/** A model's name without its folders' path, its commit and its case: what a folder and a hub name have in common. */
function lastPart(name: string): string {
  const [path = ''] = name.replace(/[\\/]+$/, '').split('@')
  // In the hub's cache: models--google--vit-base/snapshots/<commit>.
  const cached = /models--([^\\/]+)[\\/]snapshots[\\/][0-9a-f]+$/.exec(path)?.[1]?.replaceAll('--', '/')
  return (cached ?? path).split(/[\\/]/).at(-1)!.toLowerCase()
}

/**
 * A sentence where an adapter was trained on another base than this one: on other weights, where its run.json has their
 * fingerprint, else by name and family. `names` is what this model is called: where it was opened, and what its own
 * configuration says it came from.
 */
export function otherBase(
  { baseModel, baseWeights, family }: Adapter,
  model: { source: string; origin: unknown; family: string; weights: string | undefined },
): string | undefined {
  if (baseWeights !== undefined && model.weights !== undefined) {
    if (baseWeights === model.weights) return undefined
    return `the adapter was trained on other weights than ${model.source} holds${baseModel ? ` (on ${baseModel})` : ''}; outputs may mean nothing`
  }
  if (family !== undefined && family !== model.family)
    return `the adapter was trained on a model of the family ${family}, and ${model.source} is of ${model.family}; outputs may mean nothing`
  if (baseModel === undefined) return undefined
  const names = [model.source, model.origin].filter((name) => typeof name === 'string' && name !== '')
  if (names.some((name) => lastPart(name as string) === lastPart(baseModel))) return undefined
  return `the adapter was trained on ${baseModel}, and this model is ${model.source}; right if that is the same under another name`
}
