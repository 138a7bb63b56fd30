// A model ready to use, from a folder, a hub name or a finished run: weights, adapter, preprocessing and source in one.
import type { LoraConfig } from '../adapters/config.ts'
import { applyAdapter, openAdapter } from '../adapters/peft-read.ts'
import type { Backend } from '../backend/backend.ts'
import { type Preprocess, parsePreprocessor, parseTimmPreprocessor, withInputSize } from '../data/preprocess.ts'
import { type Checkpoint, openCheckpoint } from '../io/checkpoint.ts'
import { type ResolveOptions, resolveModel } from '../io/hub.ts'
import { localFiles } from '../io/local-files.ts'
import { loadVit } from '../models/load.ts'
import type { Dialect } from '../models/names.ts'
import { isTimm } from '../models/timm.ts'
import type { Vit } from '../models/vit.ts'
import type { Interpolation } from '../models/vit-config.ts'
import { disposeModule } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { adapterFingerprint, type Fingerprint, fingerprint, hashed } from './fingerprint.ts'
import { otherBase } from './other-base.ts'
import { readRun } from './run-file.ts'

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
}

export interface OpenModel {
  model: Vit
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
  /** What its files hold that is worth a sentence: left out, taken for something, named otherwise. */
  notes: string[]
}

/** What a checkpoint says of its images, at an input size of the caller's where one is given. */
export function preprocessOf(checkpoint: Checkpoint, inputSize?: number): Preprocess {
  const timm = isTimm(checkpoint.names())
  const type = String(checkpoint.config.model_type ?? '')
  const preprocess = timm
    ? parseTimmPreprocessor(checkpoint.config.pretrained_cfg)
    : parsePreprocessor(checkpoint.preprocessor, type)
  // Without a preprocessor file a ViT takes images of its own size. DINOv2's is 518, but it is used at 224.
  const own = /^(vit|deit)$/.test(type) && !timm && !checkpoint.preprocessor ? checkpoint.config.image_size : undefined
  const wanted = inputSize ?? (typeof own === 'number' ? own : undefined)
  return wanted === undefined ? preprocess : withInputSize(preprocess, wanted)
}

/** Opens and loads a model. Throws InputError naming what is wrong before anything is allocated for long. */
export async function openModel(
  backend: Backend,
  nameOrFolder: string,
  options: OpenModelOptions = {},
): Promise<OpenModel> {
  const { commit: wanted } = options
  const folder = await resolveModel(wanted ? `${nameOrFolder.split('@')[0]}@${wanted}` : nameOrFolder, options)
  const commit = folder === nameOrFolder ? undefined : /[\\/]snapshots[\\/]([0-9a-f]{40})$/.exec(folder)?.[1]
  const checkpoint = await openCheckpoint(folder)
  // Before the weights of the base take their time.
  const adapter = options.adapter === undefined ? undefined : await openAdapter(options.adapter)
  const preprocess = preprocessOf(checkpoint, options.inputSize)
  const size = preprocess.crop ?? (preprocess.resize && 'height' in preprocess.resize ? preprocess.resize : undefined)
  const read = options.fingerprint || adapter?.baseWeights ? hashed(checkpoint) : undefined
  const { model, dialect, notes } = await loadVit(backend, read?.checkpoint ?? checkpoint, {
    ...(options.allowNonFinite ? { allowNonFinite: true } : {}),
    ...(size ? { inputSize: [size.height, size.width] as [number, number] } : {}),
    ...(options.interpolation ? { interpolation: options.interpolation } : {}),
  })
  const opened: OpenModel = {
    model,
    dialect,
    checkpoint,
    source: nameOrFolder,
    ...(commit ? { commit } : {}),
    preprocess,
    notes,
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
    }
  } catch (error) {
    disposeModule(model)
    throw error
  }
  return opened
}

/** Opens the trained model of a run: its own weights, or its base model with its adapter. */
export async function openRun(backend: Backend, folder: string, options: ResolveOptions = {}): Promise<OpenModel> {
  const run = await readRun(folder)
  const adapted = run.method === 'lora' || run.method === 'dora'
  const shape = { inputSize: run.inputSize, interpolation: run.interpolation }
  const files = localFiles(folder)
  const weights = files.join(folder, adapted ? 'adapter_model.safetensors' : 'model.safetensors')
  if ((await files.kind(weights)) !== 'file') {
    throw new InputError(
      `${folder}: has no ${files.baseName(weights)} yet; let its first epoch finish with train --resume`,
    )
  }
  if (adapted) return openModel(backend, run.model, { ...options, ...shape, commit: run.commit, adapter: folder })
  return { ...(await openModel(backend, folder, { ...options, ...shape })), source: run.model }
}

/** Pillow's numbers of the filters. */
const resamples = { lanczos: 1, bilinear: 2, bicubic: 3, box: 4, hamming: 5 }

/**
 * What preprocessor_config.json must say to use the model as it is used now: the checkpoint's own unless it had none or
 * the input size was changed. Undefined for timm's models, which say it in config.json.
 */
export function preprocessorJson({
  checkpoint,
  dialect,
  preprocess: p,
}: OpenModel): Readonly<Record<string, unknown>> | undefined {
  if (dialect === 'timm') return undefined
  const own = checkpoint.preprocessor
  const type = String(checkpoint.config.model_type ?? '')
  if (own && JSON.stringify(parsePreprocessor(own, type)) === JSON.stringify(p)) return own
  const resize = p.resize && 'shortest' in p.resize ? { shortest_edge: p.resize.shortest } : p.resize
  return {
    image_processor_type: 'BitImageProcessor',
    do_resize: resize !== null,
    ...(resize ? { size: resize } : {}),
    resample: resamples[p.filter],
    do_center_crop: p.crop !== null,
    ...(p.crop ? { crop_size: p.crop } : {}),
    do_rescale: p.scale !== 1,
    rescale_factor: p.scale,
    do_normalize: true,
    image_mean: p.mean,
    image_std: p.std,
  }
}
