// What PEFT calls the layers of a model: the names in memory of transformers 4, which checkpoints keep, or those of transformers 5,
// of the classification class or of the bare model in it.
import type { ClassifierConfig } from '../../models/model-kind.ts'
import { namesOf } from '../../models/registry.ts'

/** What every tensor name in an adapter begins with. */
export const root = 'base_model.model.'

/** One way to call the layers. */
export interface Spelling {
  readonly modern: boolean
  /** Without the name that the model has inside its classification class. */
  readonly bare: boolean
}

export const classic: Spelling = { modern: false, bare: false }

/** A checkpoint name in that spelling. */
export function spelt(name: string, { modern, bare }: Spelling, config: ClassifierConfig): string {
  const names = namesOf(config)
  const found = modern ? names.modern(name, config) : name
  const base = `${names.base(config)}.`
  return bare && found.startsWith(base) ? found.slice(base.length) : found
}

function isBare(stored: string, config: ClassifierConfig): boolean {
  const names = namesOf(config)
  return !stored.startsWith(`${names.base(config)}.`) && !names.isHeadModule(stored)
}

/** A stored name (without `root`) as the checkpoint calls it. */
export function checkpointName(stored: string, config: ClassifierConfig): string {
  const names = namesOf(config)
  return names.classic(isBare(stored, config) ? `${names.base(config)}.${stored}` : stored, config)
}

/** The spellings that stored names are in: one, mostly; both of transformers' in files that are made for either. */
export function spellingsOf(stored: Iterable<string>, config: ClassifierConfig): Spelling[] {
  const found = new Map<string, Spelling>()
  for (const name of stored) {
    const own = checkpointName(name, config)
    const bare = isBare(name, config)
    for (const modern of [false, true]) {
      // A name that is the same in both tells nothing.
      if (namesOf(config).modern(own, config) !== own && spelt(own, { modern, bare }, config) === name)
        found.set(`${modern} ${bare}`, { modern, bare })
    }
  }
  return found.size > 0 ? [...found.values()] : [classic]
}
