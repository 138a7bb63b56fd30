// A configuration of OTX 2.6 or getitune 0.4, parsed, as settings of ours. What such a file leaves out is what its package makes of
// that. Pure: no file is read, and nothing but the table of classes is looked up by what it holds.
import { isRecord } from '../../io/json.ts'
import { InputError } from '../../platform/errors.ts'
import { nearest } from '../../schema/nearest.ts'
import type { TrainSettings } from '../settings.ts'
import { classes, constant, sgd } from './classes.ts'
import { isTask, topKeys } from './keys.ts'
import { inFull, setAt, withOverrides } from './merge.ts'
import { type Draft, named, note, own, type Path, type Problem, problem, type Table, walk } from './reading.ts'
import { bases, imageLists } from './transforms.ts'

/** What a configuration says here. */
export interface Translation {
  readonly settings: Partial<TrainSettings>
  /** What is otherwise than there, and what means nothing, a sentence each. */
  readonly notes: readonly string[]
  readonly problems: readonly Problem[]
  /** Why the model that it names cannot be had; another may take its place. */
  readonly missing?: Problem
}

export interface TranslateOptions {
  /** What the file of data holds that `data` names, where that was found. */
  readonly base?: unknown
  /** Values by dotted keys (`model.peft`), over what the configuration says. */
  readonly overrides?: readonly (readonly [string, unknown])[]
}

/** Keys that only their configurations have. */
const theirs = ['engine', 'callbacks', 'callback_monitor', 'overrides', 'training', 'backend', 'logger']

/** Whether a parsed file is one of OTX's or getitune's, and not of our settings. */
export const isOtx = (values: Table): boolean =>
  isRecord(values.model) ||
  isRecord(values.data) ||
  isTask(values.task) ||
  theirs.some((key) => Object.hasOwn(values, key))

/** Metrics by task under their names there (after `val/`). */
const metrics: Readonly<Record<NonNullable<TrainSettings['task']>, Readonly<Record<string, string>>>> = {
  multiclass: { accuracy: 'accuracy', 'f1-score': 'f1', loss: 'loss' },
  multilabel: { accuracy: 'accuracy', map: 'map', mAP: 'map', loss: 'loss' },
  // OTX's accuracy of a tree is one of its own.
  hierarchical: { accuracy: 'otx_accuracy', loss: 'loss' },
}

const bare = (metric: string) => metric.replace(/^val\//, '')

/** The one metric that chooses, stops and lowers the rate here: what callback_monitor says, else what is said first. */
function watch(draft: Draft, whole: boolean): void {
  const { settings, monitors, modes, tasks } = draft
  const { task } = settings
  const first = monitors.find(({ path }) => path.at(-1) === 'callback_monitor') ?? monitors[0]
  for (const { path, mode, metric } of modes) {
    const name = metric ?? first?.name
    if (name !== undefined && (mode === 'min') !== bare(name).includes('loss')) {
      problem(draft, path, `contradicts ${name}, which is better the other way; leave it out`)
    }
  }
  const contradiction = tasks.find((one) => one.task !== tasks[0]!.task)
  if (contradiction)
    problem(
      draft,
      contradiction.path,
      `is of ${contradiction.task}, where ${named(tasks[0]!.path)} is of ${tasks[0]!.task}`,
    )
  // A task that nobody named is the data's to say; then so is the metric's name.
  if (!task) {
    if (first) settings.monitor = bare(first.name) === 'f1-score' ? 'f1' : bare(first.name).toLowerCase()
    return
  }
  for (const { path, name } of monitors) {
    const found = own(metrics[task], bare(name))
    const known = Object.keys(metrics[task]).map((one) => `val/${one}`)
    const meant = nearest(name, known)
    if (!found)
      problem(
        draft,
        path,
        `must be one of ${known.join(', ')} for its task, got ${name}${meant ? `; did you mean ${meant}?` : ''}`,
      )
    else if (name !== first!.name)
      note(draft, `${named(path)} is ${name}, but one metric does all here: ${first!.name}`)
  }
  const chosen = first && own(metrics[task], bare(first.name))
  // transformers' Trainer is told by the task there; Lightning's callbacks cannot do without.
  const usual = whole && !first ? Object.values(metrics[task])[draft.model!.trainer ? 1 : 0] : undefined
  if (chosen ?? usual) settings.monitor = (chosen ?? usual)!
}

/** What the packages do where a whole configuration says nothing. */
function leftOut(draft: Draft, hasData: boolean): void {
  const { settings, model } = draft
  const said: string[] = []
  // What neither file nor class says is as the package's own recipe has it, and not as ours.
  settings.recipe = draft.package!
  const otherwise = (name: keyof TrainSettings, value: unknown, says?: string) => {
    if (settings[name] !== undefined) return
    Object.assign(settings, { [name]: value })
    if (says) said.push(says)
  }
  if (model!.trainer) {
    // HFEngine.train of getitune 0.4.0, then TrainingArguments of transformers 5.
    otherwise('epochs', 100, 'max_epochs 100')
    otherwise('lr', 5e-5, 'learning_rate 0.00005')
    otherwise('optimizer', 'adamw')
    otherwise('weightDecay', 0, 'weight_decay 0')
    otherwise('clip', 1, 'max_grad_norm 1')
    if (settings.schedule === undefined) {
      settings.schedule = 'cosine'
      note(draft, 'lr_scheduler_type is left out, which is linear there; here the rate falls along a cosine')
    }
    otherwise('valEvery', 1)
  } else {
    // OTXEngine.train and LightningEngine.train; _default_optimizer_callable and _default_scheduler_callable of their models.
    otherwise('epochs', 200, 'max_epochs 200')
    if (settings.optimizer === undefined) {
      sgd(0.01, 0, 0, draft)
      said.push('optimizer SGD')
    }
    if (settings.schedule === undefined) constant(1 / 3, 5, draft)
    otherwise('valEvery', 'adaptive')
  }
  otherwise('patience', 0)
  otherwise('warmup', 0)
  // SubsetConfig of both packages: a sampler at random.
  if (hasData && settings.shuffle !== false) otherwise('sampler', 'shuffle')
  if (!hasData) {
    const base = bases[draft.package!]
    for (const [name, value] of Object.entries(base)) otherwise(name as keyof TrainSettings, value)
    said.push('data: batches of 64, balanced, and its augmentations')
  }
  if (said.length > 0) note(draft, `left out, so as there: ${said.join('; ')}`)
}

/** Numbers that take the epochs to know. */
function inEpochs({ settings, warmupEpochs, cosineEpochs, ...draft }: Draft): void {
  const { epochs } = settings
  if (warmupEpochs && epochs)
    settings.warmup = `${Number(Math.min(100, (100 * warmupEpochs) / epochs).toPrecision(6))}%`
  if (cosineEpochs && epochs && cosineEpochs !== epochs) {
    draft.notes.push(`T_max is ${cosineEpochs}; here a cosine falls over all ${epochs} epochs`)
  }
}

/** Data first, since others overrule them; `min_epochs` last, since it adds to what callbacks say. */
function inOrder(values: Table): Table {
  const place = (key: string) =>
    ['data', 'training', 'model', 'callbacks'].indexOf(key) + (key === 'min_epochs' ? 99 : 0)
  const order = (key: string) => (place(key) < 0 ? 50 : place(key))
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => order(a) - order(b)))
}

/** Translates a configuration; what is wrong with it is told by place, and throws nothing. */
export function translateOtx(config: Table, { base, overrides = [] }: TranslateOptions = {}): Translation {
  const { data } = config
  const config_ = typeof data === 'string' ? { ...config, data: isRecord(base) ? base : {} } : config
  let whole = withOverrides(config_)
  for (const [key, value] of overrides) whole = setAt(whole, inFull(key.split('.')), value) as Table
  const draft: Draft = {
    classes,
    settings: {},
    notes: [],
    problems: [],
    idle: new Set(),
    monitors: [],
    modes: [],
    tasks: [],
  }
  walk(inOrder(whole), topKeys, [], draft)
  const { train_subset: subset } = isRecord(whole.data) ? whole.data : {}
  const hasBase = isRecord(subset) && imageLists.some((key) => Object.hasOwn(subset, key))
  if (typeof data === 'string' && !hasBase)
    note(draft, `data: ${data} is not beside it, so what that file of the package holds is taken`)
  if (draft.model) leftOut(draft, hasBase)
  inEpochs(draft)
  watch(draft, draft.model !== undefined)
  if (draft.idle.size > 0) draft.notes.push(`mean nothing here: ${[...draft.idle].sort().join(', ')}`)
  const { settings, notes, problems, missing } = draft
  return { settings, notes, problems, ...(missing && { missing }) }
}

/**
 * Settings of a parsed configuration of OTX 2.6 or getitune 0.4, and notes on what is otherwise here. `options.base` is what
 * the file holds that `data` names. Throws an InputError with the first key that is unknown, of another type, or against another.
 */
export function settingsFromOtx(
  config: Readonly<Record<string, unknown>>,
  options: TranslateOptions = {},
): { settings: Partial<TrainSettings>; notes: readonly string[] } {
  if (!isRecord(config)) throw new InputError('configuration: must be an object, as a parsed file is')
  const { settings, notes, problems, missing } = translateOtx(config, options)
  const [first = undefined] = problems
  if (first) throw new InputError(`${named(first.path)}: ${first.text}`)
  return { settings, notes: missing ? [...notes, missing.text] : notes }
}

export type { Path, Problem }
