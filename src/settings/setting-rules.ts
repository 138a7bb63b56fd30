// What the settings of a run must be together, and all that hold where some are given. What each may be is in schema.ts.
// Nothing that was given is left out in silence.
import { type LoraConfig, loraFields } from '../adapters/lora-config.ts'
import { adapterMethods, type Method, methodOf, methods } from '../adapters/methods.ts'
import { InputError } from '../platform/errors.ts'

import { checkRules, shown } from '../schema/rules.ts'
import { rulesOf } from '../schema/setting.ts'
import { checkTaskOptions, tasks } from '../tasks/registry.ts'
import { monitorOf, type TaskOptions } from '../tasks/task.ts'
import { checkAugment } from './augment.ts'
import type { Quantize } from './quantize.ts'
import type { RecipeFacts } from './recipe.ts'
import { recipes } from './recipes.ts'
import { defaults, sameAs, settingRules } from './schema.ts'
import { defined, pick, type TrainSettings } from './settings.ts'

type Short = keyof typeof sameAs
const shorts = Object.keys(sameAs) as Short[]

/** Settings that a task may not know. */
const taskOptions = [
  'loss',
  'labelSmoothing',
  'threshold',
  'positiveWeights',
  'pathConsistency',
  'decoding',
] as const satisfies readonly (keyof TaskOptions & keyof TrainSettings)[]

/** Settings that mean something only beside another. */
const goesWith = {
  fold: 'folds',
  distill: 'from',
  distillTemperature: 'distill',
  unlabelledThreshold: 'unlabelled',
  unlabelledWeight: 'unlabelled',
  unlabelledRatio: 'unlabelled',
  quantizeSkip: 'quantize',
} as const satisfies Partial<Record<keyof TrainSettings, keyof TrainSettings>>

/** Settings that change nothing unless another has a value: what that must be, and whether it is, where it is given. */
const idleUnless: Readonly<
  Partial<Record<keyof TrainSettings, readonly [string, (s: Partial<TrainSettings>) => boolean | undefined]>>
> = {
  plateauFactor: ['schedule plateau', ({ schedule }) => (schedule === undefined ? undefined : schedule === 'plateau')],
  plateauPatience: [
    'schedule plateau',
    ({ schedule }) => (schedule === undefined ? undefined : schedule === 'plateau'),
  ],
  quantizeSkip: [
    'a format to quantize to',
    ({ quantize }) => (quantize === undefined ? undefined : quantize !== 'none'),
  ],
  doubleQuant: ['quantize nf4', ({ quantize }) => quantize === 'nf4'],
  minDelta: ['patience above 0', ({ patience }) => (patience === undefined ? undefined : patience > 0)],
  patienceWarmup: ['patience above 0', ({ patience }) => (patience === undefined ? undefined : patience > 0)],
  patienceWarmupSteps: ['patience above 0', ({ patience }) => (patience === undefined ? undefined : patience > 0)],
}

/** Throws InputError where a setting is given that changes nothing beside these others; its default does no harm. */
function checkIdle(s: Partial<TrainSettings>, where: string): void {
  for (const [name, [needs, holds]] of Object.entries(idleUnless)) {
    const value = s[name as keyof TrainSettings]
    if (value === undefined || value === defaults[name as keyof typeof defaults] || holds(s) !== false) continue
    throw new InputError(`${where}${name}: changes nothing without ${needs}, got ${shown(value)}; leave it out`)
  }
}

/** Throws InputError on rates by layer for a method that does not train all layers. */
export function checkLayerDecay(method: Method, layerDecay: number = defaults.layerDecay, where = ''): void {
  if (layerDecay === 1 || methodOf(method).trains === 'all') return
  const those = methods.filter((name) => methodOf(name).trains === 'all').join(', ')
  throw new InputError(`${where}layerDecay: for peft ${those} only, got peft ${method}; leave it out`)
}

/** Throws InputError where weights are to be packed that train. */
export function checkQuantize(method: Method, quantize: Quantize = 'none', where = ''): void {
  if (quantize === 'none' || methodOf(method).trains !== 'all') return
  const those = methods.filter((name) => methodOf(name).trains !== 'all').join(', ')
  throw new InputError(
    `${where}quantize: packs weights that do not train, and peft ${method} trains all; choose peft ${those}, or leave quantize out`,
  )
}

/** What batches of images without labels do not go together with. */
const notUnlabelled = ['mixup', 'cutmix', 'distill'] as const

/** Decay of the averages that say what images without labels are: a memory of ten steps, which suits runs of some hundreds. */
const teacherDecay = 0.9

/** The adapter that these settings train, where their method trains one. */
const adapterOf = ({ peft = defaults.peft }: Partial<TrainSettings>) => methodOf(peft).adapter

/** LoRA's and DoRA's settings as one. */
export function loraOf(s: Pick<Partial<TrainSettings>, Short | 'lora'>): Partial<LoraConfig> {
  const short = shorts.map((name) => [sameAs[name], s[name]])
  return { ...defined(s.lora ?? {}), ...defined(Object.fromEntries(short)) }
}

/** Where an adapter that is there trains further: what brings its settings. A run whose folder is the model has none. */
const broughtBy = (s: Partial<TrainSettings>): 'adapter' | 'from' | undefined => {
  if (s.adapter !== undefined) return 'adapter'
  return s.from !== undefined && s.model !== undefined && s.model !== s.from && adapterOf(s) ? 'from' : undefined
}

/** Throws InputError where settings of adapters are given to a method without, twice, or against each other. */
function checkAdapterSettings(s: Partial<TrainSettings>, where: string): void {
  const fail = (text: string): never => {
    throw new InputError(`${where}${text}`)
  }
  const { peft = defaults.peft, lora = {} } = s
  const kind = adapterOf(s)
  const fields = Object.keys(defined(lora)) as (keyof LoraConfig)[]
  const given: string[] = shorts.filter((name) => s[name] !== undefined)
  if (fields.length > 0) given.push('lora')
  const brought = broughtBy(s)
  if (given.length > 0 && brought !== undefined) {
    fail(`${given.join(', ')}: cannot be chosen together with ${brought}, which brings its own`)
  }
  if (s.transformers !== undefined) given.push('transformers')
  if (!kind) {
    if (given.length > 0) fail(`${given.join(', ')}: for peft ${adapterMethods} only, got ${peft}`)
    return
  }
  for (const name of shorts) {
    const field = sameAs[name]
    const [short, long] = [s[name], lora[field]]
    if (short === undefined || long === undefined || JSON.stringify(short) === JSON.stringify(long)) continue
    fail(`${name}: must be what lora.${field} is, got ${shown(short)} and ${shown(long)}; give one of them`)
  }
  // Which adapter it is (DoRA, say) is the method's to tell.
  for (const field of kind.decided ?? []) {
    const [asked, got] = [kind.configure({})[field as keyof LoraConfig], lora[field as keyof LoraConfig]]
    if (got !== undefined && got !== asked) {
      fail(`lora.${field}: must agree with peft, got ${got} with peft ${peft}; choose peft ${adapterMethods}`)
    }
  }
  const isGiven = (field: string) => Boolean(lora[field as keyof LoraConfig])
  for (const other of methods) {
    const field = methodOf(other).adapter?.ownSettings?.find(isGiven)
    if (field !== undefined && other !== peft) fail(`lora.${field}: for peft ${other} only, got peft ${peft}`)
  }
}

/** Throws InputError where settings mean nothing to the task, as far as it is known, or contradict each other. */
function checkTaskSettings(s: Partial<TrainSettings>, where: string): void {
  if (s.task !== undefined) {
    const kind = tasks[s.task]
    checkTaskOptions(kind, pick(s, ...taskOptions), where)
    monitorOf(kind, s.monitor, where)
  }
  if (s.sampler !== undefined && s.shuffle === false) {
    throw new InputError(
      `${where}sampler: must be left out where shuffle is false, got ${s.sampler}; choose one of them`,
    )
  }
}

/** Throws InputError on LoRA and DoRA settings that cannot be, or are not for the method. */
export function checkAdapter(method: Method, lora: Partial<LoraConfig> = {}): void {
  checkSettings({ peft: method, lora })
}

/**
 * Throws InputError naming the first setting that is unknown, of another type, out of range, or against another. `where`
 * comes before its name.
 */
export function checkSettings(s: Partial<TrainSettings>, where = ''): void {
  checkRules(s, settingRules, where)
  checkRules(s.lora ?? {}, rulesOf(loraFields), `${where}lora.`)
  checkAugment(s.augment, `${where}augment.`)
  if (s.adapter !== undefined && !adapterOf(s)) {
    throw new InputError(`${where}adapter: goes with peft ${adapterMethods}, got ${s.peft}`)
  }
  if (s.from !== undefined && s.adapter !== undefined) {
    throw new InputError(`${where}from: cannot be given together with adapter, the run brings its own; leave one out`)
  }
  for (const [name, other] of Object.entries(goesWith)) {
    if (!s[name as keyof typeof goesWith] || s[other]) continue
    throw new InputError(`${where}${name}: goes with ${other}, which is not given; give it, or leave ${name} out`)
  }
  checkIdle(s, where)
  if (s.peft !== undefined) checkLayerDecay(s.peft, s.layerDecay, where)
  if (s.peft !== undefined) checkQuantize(s.peft, s.quantize, where)
  for (const name of notUnlabelled) {
    if (s.unlabelled === undefined || !s[name]) continue
    throw new InputError(
      `${where}${name}: cannot be used together with unlabelled, got ${s[name]}; leave one of them out`,
    )
  }
  checkTaskSettings(s, where)
  checkAdapterSettings(s, where)
  adapterOf(s)?.configure(loraOf(s))
}

/** Settings that mean nothing with these, or are said by others. */
function idleWith(s: Partial<TrainSettings>): Set<string> {
  const kind = adapterOf(s)
  return new Set<string>([
    ...(kind && broughtBy(s) === undefined ? [] : shorts),
    // Whoever goes on with an adapter, or from a run, learns from its folder which method it is.
    ...(s.adapter === undefined && s.from === undefined ? [] : ['peft']),
    ...shorts.filter((name) => s.lora?.[sameAs[name]] !== undefined),
    ...(kind ? [] : ['transformers']),
    ...(s.shuffle === false ? ['sampler'] : []),
    ...Object.entries(goesWith).flatMap(([name, other]) => (s[other] ? [] : [name])),
    // What they mean is known with the labels.
    ...taskOptions.filter((name) => s.task === undefined || !tasks[s.task].options.includes(name)),
  ])
}

/** These settings with the defaults of all others, but for what means nothing with these, and for what is `undecided`. */
export function complete<S extends Partial<TrainSettings>>(
  given: S,
  undecided: readonly (keyof TrainSettings)[] = [],
): S & Partial<TrainSettings> {
  const s = defined(given) as S
  const idle = idleWith(s)
  for (const name of undecided) idle.add(name)
  const others = Object.entries(defaults).filter(([name]) => !idle.has(name))
  const known = s.adapter === undefined && s.from === undefined && !idle.has('lr')
  const lr = known ? { lr: methodOf(s.peft ?? defaults.peft).defaultRate } : {}
  const ema = s.unlabelled === undefined || idle.has('ema') ? {} : { ema: teacherDecay }
  return { ...Object.fromEntries(others), ...lr, ...ema, ...s }
}

/**
 * These settings with what their recipe says of a run, where nothing else is given, and the reasons by name. A recipe decides
 * nothing that means nothing with them.
 */
export function withRecipe<S extends Partial<TrainSettings>>(
  given: S,
  facts: RecipeFacts,
): { settings: S; reasons: Record<string, string> } {
  const s = defined(given) as S
  const idle = idleWith({ ...s, peft: facts.method, task: facts.task })
  for (const [name, [, holds]] of Object.entries(idleUnless)) if (holds(s) === false) idle.add(name)
  // It would be learnt of labels that only the old model knows, and keeps a teacher from being sure.
  if (s.distill || s.unlabelled !== undefined) idle.add('labelSmoothing')
  const values = Object.entries(recipes[s.recipe ?? defaults.recipe]({ ...facts, epochs: s.epochs })).filter(
    ([name, chosen]) => chosen && (s[name as keyof TrainSettings] === undefined || isAsked(name, s)) && !idle.has(name),
  )
  return {
    settings: { ...s, ...Object.fromEntries(values.map(([name, { value }]) => [name, value])) },
    reasons: Object.fromEntries(values.map(([name, { why }]) => [name, why])),
  }
}

/** Whether a setting says itself that the recipe decides. */
const isAsked = (name: string, { augment }: Partial<TrainSettings>) => name === 'augment' && augment === true
