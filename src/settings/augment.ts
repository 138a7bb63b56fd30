// The setting `augment`: what it may be, and how the text of a flag says it. The changes themselves are data/augment.
import {
  type AugmentationName,
  type Augmentations,
  augmentationNames,
  augmentationPresets,
  strengths,
} from '../data/augmentations.ts'
import { isRecord } from '../io/json.ts'
import { InputError } from '../platform/errors.ts'
import { nearest } from '../schema/nearest.ts'
import { checkRules, either, flag, object, type Rule, shown, span, whole, within } from '../schema/rules.ts'
import { namesOf } from '../schema/setting.ts'

/** True, as the recipe says; false, nothing; or a table of changes. */
export const augmentRule: Rule<boolean | Augmentations> = either(flag, object as Rule<Augmentations>)

const MOST = Number.MAX_VALUE
const probability = within(0, 1, 'a probability')
const colours = {
  brightness: within(0, 1, 'how far it may be from 1'),
  contrast: within(0, 1, 'how far it may be from 1'),
  saturation: within(0, 1, 'how far it may be from 1'),
  hue: within(0, 0.5, 'turns'),
  p: probability,
}

/** What may stand in the table of each change; one that is no table is a probability. */
const rules: { readonly [K in AugmentationName]: Readonly<Record<string, Rule>> | Rule<number> } = {
  crop: { area: span(0.0001, 1, 'parts of the area'), aspect: span(0.01, 100, 'width over height') },
  flip: probability,
  verticalFlip: probability,
  colorJitter: colours,
  colorJiggle: colours,
  photometric: {
    brightness: span(0, 10, 'factors'),
    contrast: span(0, 10, 'factors'),
    saturation: span(0, 10, 'factors'),
    hue: span(-0.5, 0.5, 'turns'),
    p: probability,
  },
  affine: {
    degrees: within(0, 180, 'degrees'),
    translate: within(0, 1, 'a part of the size'),
    scale: span(0.01, 100, 'factors'),
    shear: within(0, 60, 'degrees'),
    p: probability,
  },
  blur: { kernel: whole(1, 99, 'an odd number of pixels'), sigma: span(0.01, MOST, 'pixels'), p: probability },
  noise: { sigma: within(0, 1, 'a part of the range of values'), p: probability },
  randAugment: {
    ops: whole(1, 14, 'a whole number of operations'),
    magnitude: whole(0, 999, 'a place among the strengths'),
    bins: whole(2, 1000, 'a whole number of strengths'),
  },
}
const tables = Object.fromEntries(
  augmentationNames.map((name) => [name, typeof strengths[name] === 'number' ? (rules[name] as Rule) : object]),
)

/** Throws InputError on a change that is none, and on strengths that cannot be; `where` comes before their names. */
export function checkAugment(augment: unknown, where = 'augment.'): void {
  if (!isRecord(augment)) return
  checkRules(augment, tables, where)
  for (const name of augmentationNames) {
    const given = augment[name]
    if (isRecord(given)) checkRules(given, rules[name] as Record<string, Rule>, `${where}${name}.`)
  }
  const { blur, randAugment } = augment as Augmentations
  if (blur?.kernel !== undefined && blur.kernel % 2 === 0) {
    throw new InputError(`${where}blur.kernel: must be odd, so that it has a middle, got ${blur.kernel}`)
  }
  const { magnitude, bins } = { ...strengths.randAugment, ...randAugment }
  if (magnitude >= bins) {
    throw new InputError(`${where}randAugment.magnitude: must be below its ${bins} bins, got ${magnitude}`)
  }
}

/** The number that `name=number` gives each change, as its table. */
const byNumber: { readonly [K in AugmentationName]: (x: number) => NonNullable<Augmentations[K]> } = {
  crop: (least) => ({ area: [least, 1] }),
  flip: (p) => p,
  verticalFlip: (p) => p,
  colorJitter: (x) => ({ brightness: x, contrast: x, saturation: x, hue: x / 4 }),
  colorJiggle: (x) => ({ brightness: x, contrast: x, saturation: x, hue: x / 4 }),
  photometric: (p) => ({ p }),
  affine: (degrees) => ({ degrees }),
  blur: (most) => ({ sigma: [Math.min(strengths.blur.sigma[0], most), most] }),
  noise: (sigma) => ({ sigma }),
  randAugment: (magnitude) => ({ magnitude }),
}
const presets: Readonly<Record<string, Augmentations>> = augmentationPresets

/** What a list of a flag may hold, in words. */
export const augmentWords = `${augmentationNames.join(', ')}, each with =NUMBER; ${Object.keys(presets).join(', ')}; or none`

/**
 * `none`, or changes between commas, each with `=` and its main number where it is not the usual one; `otx` and `getitune` are
 * all of what they do. Throws an InputError on a name or a number that is none.
 */
export function readAugment(text: string): boolean | Augmentations {
  if (text.trim() === 'none') return false
  const parts = namesOf(text)
  if (parts.length === 0)
    throw new InputError(`--augment: must be some of ${augmentWords}, got ${JSON.stringify(text)}`)
  return Object.assign({}, ...parts.map(readPart))
}

function readPart(part: string): Augmentations {
  const [given = '', number, ...more] = part.split('=').map((piece) => piece.trim())
  const name = given.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
  if (number === undefined && Object.hasOwn(presets, name)) return presets[name]!
  const known = augmentationNames.find((one) => one === name)
  if (!known) {
    const meant = nearest(given, [...augmentationNames, ...Object.keys(presets), 'none'])
    const remedy = given === 'none' ? 'give none alone' : meant ? `did you mean ${meant}?` : `there are ${augmentWords}`
    throw new InputError(`--augment: ${shown(given)} cannot stand here; ${remedy}`)
  }
  if (number === undefined) {
    return { [known]: typeof strengths[known] === 'number' ? strengths[known] : {} }
  }
  const x = number === '' ? Number.NaN : Number(number)
  if (!Number.isFinite(x) || more.length > 0) {
    throw new InputError(`--augment: ${known} must have one number after =, got ${shown(part)}`)
  }
  const made = { [known]: byNumber[known](x) }
  checkAugment(made, '--augment: ')
  return made
}

/** Whether it is a table. */
export const isTable = (augment: boolean | Augmentations | undefined): augment is Augmentations => isRecord(augment)
