// A model ready to use, from a folder, a hub name or a finished run: weights, adapter, preprocessing and source in one.
import type { LoraConfig } from '../adapters/lora-config.ts'
import { methodOf } from '../adapters/methods.ts'
import { openAdapter } from '../adapters/peft/folder.ts'
import { applyAdapter } from '../adapters/peft/read.ts'
import type { Backend } from '../backend/backend.ts'
import { outputSize, type Preprocess } from '../data/preprocess.ts'
import { adapterFiles, type Checkpoint, checkpointFiles, openCheckpoint } from '../io/checkpoint.ts'
import { type ResolveOptions, resolveModel } from '../io/hub.ts'
import { localFiles } from '../io/local-files.ts'
import type { KnownLabels } from '../labels/facts.ts'
import { multiclassLabels, multilabelLabels } from '../labels/labels.ts'
import { areGeneric } from '../models/labels.ts'
import type { Dialect } from '../models/model-kind.ts'
import { type AnyModel, loadModel } from '../models/registry.ts'
import type { Interpolation } from '../models/vit/config.ts'
import { disposeModule, namedWeights } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'

import { anyText, checkRules, flag, func, type RulesOf, text } from '../schema/rules.ts'
import { packingOf, type Quantize, readingOf } from '../settings/quantize.ts'
import { settingRules } from '../settings/schema.ts'
import { keptLabels, labelsIn } from '../tasks/label-fields.ts'
import { Packed } from '../tensor/packed.ts'

import { adapterFingerprint, type Fingerprint, fingerprint, hashed } from './fingerprint.ts'
import { imagesOf } from './model-images.ts'
import { otherBase } from './other-base.ts'
import { packingIn, readRun } from './run-file.ts'

export interface OpenModelOptions extends ResolveOptions {
  /** Input side in pixels; default: what the checkpoint's preprocessor makes. */
  inputSize?: number | undefined
  interpolation?: Interpolation | undefined
  /** The commit of a model that is given by name, instead of the newest or the one behind its `@`. */
  commit?: string | undefined
  /** An adapter folder to put on. */
  adapter?: string | undefined
  /** Also say by what the model can be known again; costs a pass over its bytes. */
  fingerprint?: boolean
  /** Take weights that are not finite as they are, with a note; else they are refused. */
  allowNonFinite?: boolean | undefined
  /** How the matrices of its blocks are packed as they are read (docs/quantization.md); without it they are f32, or as they are stored. */
  quantize?: Quantize | undefined
  doubleQuant?: boolean | undefined
  quantizeSkip?: readonly string[] | undefined
  /** Modules that are to train whole: they are f32 whatever is packed, and may be any. */
  modulesToSave?: readonly string[] | undefined
}

export interface OpenModel {
  model: AnyModel
  dialect: Dialect
  checkpoint: Checkpoint
  /** As given: a hub name or folder. */
  source: string
  /** Of a model by name: its commit on the hub. */
  commit?: string
  preprocess: Preprocess
  /** The configuration of the adapter that was put on. */
  lora?: LoraConfig
  /** By what it can be known again, where that was asked for. */
  fingerprint?: Fingerprint
  /** What its outputs are; undefined where it has no classifier, or `otherwise`. */
  labels?: KnownLabels
  /** What its outputs are, where they are none of our tasks: what follows 'its outputs'. */
  otherwise?: string
  /** What its files hold that is worth a sentence: left out, taken for something, named otherwise. */
  notes: string[]
}

const rules: RulesOf<OpenModelOptions> = {
  onProgress: func,
  hubUrl: text('an address'),
  cacheDir: text('a folder'),
  offline: flag,
  token: anyText,
  inputSize: settingRules.inputSize,
  interpolation: settingRules.interpolation,
  commit: text('a commit'),
  adapter: settingRules.adapter,
  fingerprint: flag,
  allowNonFinite: flag,
  quantize: settingRules.quantize,
  doubleQuant: settingRules.doubleQuant,
  quantizeSkip: settingRules.quantizeSkip,
  modulesToSave: settingRules.modulesToSave,
}

/** A whole classifier in an adapter. */
const ownHead = /classifier\.(modules_to_save\.(\w+\.)?)?weight$/

/**
 * What the outputs of a classifier are: what a run says of it, or the model's configuration; a single output is one label, which
 * is there or not, and others choose one class.
 */
function labelsOf(
  { config }: Checkpoint,
  model: AnyModel,
  run: { classes: readonly string[]; labels?: unknown; folder: string } | undefined,
): Pick<OpenModel, 'labels' | 'otherwise'> {
  const { classes } = model.config
  if (!model.head || classes.length === 0) return {}
  if (run?.labels !== undefined) return { labels: keptLabels(run.labels, classes, `${run.folder}/run.json: labels`) }
  const said = run ? undefined : labelsIn(config, classes)
  if (said && 'otherwise' in said) return said
  const single = model.head.outFeatures === 1 ? multilabelLabels(classes) : multiclassLabels(classes)
  return { labels: said ?? { space: single } }
}

/** What packing its matrices comes to. */
function packedNote(model: AnyModel, format: Quantize): string[] {
  const packed = [...namedWeights(model)].flatMap(([, p]) => (p instanceof Packed ? [p] : []))
  const inMB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
  const [before, after] = [packed.reduce((n, p) => n + 4 * p.size, 0), packed.reduce((n, p) => n + p.bytes, 0)]
  return [`${packed.length} frozen matrices are packed as ${format}: ${inMB(after)} instead of ${inMB(before)}`]
}

/** Opens and loads a model. Throws InputError naming what is wrong before anything is allocated for long. */
export async function openModel(
  backend: Backend,
  nameOrFolder: string,
  options: OpenModelOptions = {},
): Promise<OpenModel> {
  checkRules({ model: nameOrFolder ?? null }, { model: settingRules.model })
  checkRules(options, rules)
  const { commit: wanted } = options
  const folder = await resolveModel(wanted ? `${nameOrFolder.split('@')[0]}@${wanted}` : nameOrFolder, options)
  const commit = folder === nameOrFolder ? undefined : /[\\/]snapshots[\\/]([0-9a-f]{40})$/.exec(folder)?.[1]
  const checkpoint = await openCheckpoint(folder)
  // Before the weights of the base take their time.
  const adapter = options.adapter === undefined ? undefined : await openAdapter(options.adapter)
  const images = imagesOf(checkpoint, options.inputSize)
  const { height, width } = outputSize(images.preprocess)
  const read = options.fingerprint || adapter?.baseWeights ? hashed(checkpoint) : undefined
  const { model, dialect, notes } = await loadModel(backend, read?.checkpoint ?? checkpoint, {
    ...(options.allowNonFinite ? { allowNonFinite: true } : {}),
    inputSize: [height, width],
    ...(options.interpolation ? { interpolation: options.interpolation } : {}),
    ...readingOf(options, [...(options.modulesToSave ?? []), ...(adapter?.config.modulesToSave ?? [])]),
  })
  const opened: OpenModel = {
    model,
    dialect,
    checkpoint,
    source: nameOrFolder,
    ...(commit ? { commit } : {}),
    preprocess: images.preprocess,
    notes: [...notes, ...images.notes, ...(packingOf(options) ? packedNote(model, options.quantize!) : [])],
  }
  try {
    const { channels } = model.config
    if (channels !== 3) throw new InputError(`${nameOrFolder}: must take images of 3 channels, got ${channels}`)
    const weights = await read?.digest()
    if (options.fingerprint) opened.fingerprint = await fingerprint(model.config, weights)
    if (adapter) {
      const { allowNonFinite } = options
      const origin = checkpoint.config._name_or_path
      const other = otherBase(adapter, { source: nameOrFolder, origin, family: model.config.family, weights })
      if (other) opened.notes.push(other)
      opened.lora = await applyAdapter(model, adapter, { allowNonFinite, onNote: (note) => opened.notes.push(note) })
      if (opened.fingerprint) {
        opened.fingerprint = { ...opened.fingerprint, ...(await adapterFingerprint(adapter.folder)) }
      }
      const { classes } = model.config
      if (!adapter.classes && !areGeneric(classes) && adapter.tensors.names().some((name) => ownHead.test(name))) {
        opened.notes.push('the adapter brings a classifier and no names for its classes; those of the model are taken')
      }
    }
    const { classes: named, labels, folder: place } = adapter ?? {}
    Object.assign(opened, labelsOf(checkpoint, model, named && { classes: named, labels, folder: place! }))
  } catch (error) {
    disposeModule(model)
    throw error
  }
  return opened
}

/** Options of `openRun`; input size, interpolation and, where an adapter was trained, how the weights are packed are the run's own unless given. */
export type OpenRunOptions = ResolveOptions &
  Pick<
    OpenModelOptions,
    | 'allowNonFinite'
    | 'fingerprint'
    | 'inputSize'
    | 'interpolation'
    | 'quantize'
    | 'doubleQuant'
    | 'quantizeSkip'
    | 'modulesToSave'
  >

/** Opens the trained model of a run: its own weights, or its base model with its adapter. */
export async function openRun(backend: Backend, folder: string, options: OpenRunOptions = {}): Promise<OpenModel> {
  checkRules({ run: folder ?? null }, { run: text('a run folder') })
  const run = await readRun(folder)
  const adapted = methodOf(run.method).saves === 'adapter'
  const { inputSize = run.inputSize, interpolation = run.interpolation } = options
  const shape = { inputSize, interpolation }
  const files = localFiles(folder)
  const weights = files.join(folder, adapted ? adapterFiles.weights : checkpointFiles.weights)
  if ((await files.kind(weights)) !== 'file') {
    throw new InputError(
      `${folder}: has no ${files.baseName(weights)} yet; let its first epoch finish with train --resume`,
    )
  }
  if (adapted) {
    const packed = options.quantize === undefined ? packingIn(run) : {}
    return openModel(backend, run.model, { ...options, ...shape, ...packed, commit: run.commit, adapter: folder })
  }
  return { ...(await openModel(backend, folder, { ...options, ...shape })), source: run.model }
}
