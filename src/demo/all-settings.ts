// Every other setting of a run, made from the table of settings: groups, what holds without each, and the rules that a command
// line has. Not here: those that the page asks for in its own words (settings.ts).
import { checkRule, type Shape, shapeOf } from '../schema/rules.ts'
import { groups, namesOf, otherwiseOf, type Setting } from '../schema/setting.ts'
import { recipeSettings } from '../settings/recipe.ts'
import { settings } from '../settings/schema.ts'
import type { TrainSettings } from '../settings/settings.ts'
import { field, h } from './dom.ts'

type Name = keyof typeof settings

export interface AllSettings {
  readonly element: HTMLElement
  /** What was chosen, checked one by one; rejects by a sentence thrown, with the focus where it is wrong. */
  read(): Partial<TrainSettings>
}

/** Names that say nothing to whoever has not read the documentation. */
const titles: Partial<Record<Name, string>> = {
  accumulate: 'Batches a step',
  allowNonFinite: 'Weights that are not finite',
  alpha: 'LoRA alpha',
  bias: 'Biases',
  checkpointing: 'Recompute to save memory',
  clip: 'Largest gradient',
  cutmix: 'CutMix',
  ema: 'Average of weights',
  loraDropout: 'LoRA dropout',
  microBatch: 'Images at a time',
  minDelta: 'Least gain',
  mixup: 'MixUp',
  onDeviceLost: 'When the GPU is lost',
  patchKeep: 'Patches kept',
  patience: 'End early',
  patienceWarmup: 'Early end begins after',
  patienceWarmupSteps: 'Early end begins after steps',
  perClass: 'Pictures of each label',
  rslora: 'Rank-stabilised',
  targets: 'Layers to adapt',
  transformers: 'Names of transformers',
  valEvery: 'Validate every',
}

/** What the form calls a setting: `Batch size` for batchSize. */
export function titleOf(name: Name): string {
  const { title }: Setting = settings[name]
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
  return titles[name] ?? title ?? `${words[0]!.toUpperCase()}${words.slice(1)}`
}

/** Flags in a sentence, as what the form calls them. */
const withoutFlags = (words: string): string =>
  words.replace(/--[\w-]+/g, (flag) => {
    const known = (Object.entries(settings) as [Name, Setting][]).find(([, one]) => one.flag?.split(' ')[0] === flag)
    return known ? `“${titleOf(known[0])}”` : flag
  })

/** What holds without a setting. */
export const usualOf = (name: Name): string | undefined =>
  recipeSettings.some((one) => one === name) ? 'as the recipe says' : otherwiseOf(settings[name])

/** What a setting's control holds, as the setting has it; undefined where nothing is chosen. */
function chosenIn(given: string, setting: Setting, { type, options }: Shape): unknown {
  const text = given.trim()
  if (text === '') return undefined
  if (type === 'choice') return options!.find((one) => String(one) === text)
  if (type === 'flag') return text === 'true'
  if (setting.read) return setting.read(text)
  return type === 'number' ? Number(text) : type === 'list' ? namesOf(text) : text
}

const select = (usual: string, options: readonly (readonly [string, string])[]) =>
  h('select', {}, h('option', { value: '' }, usual), ...options.map(([value, title]) => h('option', { value }, title)))

/** A control for a setting, which shows what holds without it. */
function controlOf(name: Name, setting: Setting, { type, least, most, whole, options }: Shape) {
  const known = usualOf(name)
  const usual = known && withoutFlags(known)
  const isDefault = (one: unknown) => one === setting.default && usual?.startsWith(String(one))
  if (type === 'choice')
    return select(
      usual ?? 'as usual',
      options!.filter((one) => !isDefault(one)).map((one) => [String(one), String(one)]),
    )
  if (type === 'flag') {
    const [on, off] = setting.default === true ? ['yes', 'no'] : ['no', 'yes']
    return select(on, [[String(setting.default !== true), off]])
  }
  if (type !== 'number') return h('input', { type: 'text', placeholder: usual ?? '', autocomplete: 'off' })
  const limits = { ...(least !== undefined && { min: least }), ...(most !== undefined && { max: most }) }
  return h('input', {
    type: 'number',
    inputmode: 'decimal',
    ...limits,
    step: whole ? 1 : 'any',
    placeholder: usual ?? '',
  })
}

/** Controls for all settings but these, folded; what a browser has no path for must be among them. */
export function createAllSettings(without: readonly Name[]): AllSettings {
  const shown = (Object.entries(settings) as [Name, Setting][])
    .filter(([name, { flag }]) => flag !== undefined && !without.includes(name))
    .map(([name, setting]) => {
      const shape = shapeOf(setting.value)
      const control = controlOf(name, setting, shape)
      const words = withoutFlags(setting.description)
      const element = field(titleOf(name), control, `${words[0]!.toUpperCase()}${words.slice(1)}.`)
      return { name, setting, shape, control, element }
    })
  const parts = groups.flatMap((group) => {
    const own = shown.filter(({ setting }) => setting.group === group)
    if (own.length === 0) return []
    const fields = own.map(({ element }) => element)
    return [h('fieldset', { class: 'bare' }, h('legend', {}, group), h('div', { class: 'grid wide' }, ...fields))]
  })
  const element = h('details', { class: 'more all' }, h('summary', {}, 'All settings'), ...parts)
  return {
    element,
    read() {
      const given: Record<string, unknown> = {}
      for (const { name, setting, shape, control } of shown) {
        try {
          if (!control.checkValidity()) throw new Error(`${titleOf(name)}: ${control.validationMessage}`)
          const value = chosenIn(control.value, setting, shape)
          if (value !== undefined) checkRule(titleOf(name), value, setting.value)
          given[name] = value
        } catch (error) {
          for (let at: Element | null = element; at; at = at.parentElement?.closest('details') ?? null)
            (at as HTMLDetailsElement).open = true
          control.focus()
          throw error
        }
      }
      return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
    },
  }
}
