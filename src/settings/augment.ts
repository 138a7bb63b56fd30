// The setting `augment`: what it may be, and how the text of a flag says it. The changes themselves are data/augment.
import type { Augmentations } from '../data/augmentations.ts'
import { isRecord } from '../io/json.ts'
import { InputError } from '../platform/errors.ts'
import { either, flag, object, type Rule } from '../schema/rules.ts'
import { namesOf } from '../schema/setting.ts'

/** True, as the recipe says; false, nothing; or a table of changes. */
export const augmentRule: Rule<boolean | Augmentations> = either(flag, object as Rule<Augmentations>)

/** Strengths that a bare name stands for. */
const usual: Augmentations = { crop: {}, flip: 0.5, verticalFlip: 0.5 }

/** `none`, or names of changes between commas. Throws an InputError on a name that is none. */
export function readAugment(text: string): boolean | Augmentations {
  if (text.trim() === 'none') return false
  const names = namesOf(text)
  const strange = names.find((name) => !Object.hasOwn(usual, name))
  if (names.length === 0 || strange !== undefined) {
    throw new InputError(`--augment: must be none or names among ${Object.keys(usual).join(', ')}, got ${text}`)
  }
  return Object.fromEntries(names.map((name) => [name, usual[name as keyof Augmentations]]))
}

/** Whether it is a table. */
export const isTable = (augment: boolean | Augmentations | undefined): augment is Augmentations => isRecord(augment)
