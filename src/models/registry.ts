// The kinds of models that there are. What differs between them is asked of these entries; nobody compares their families.
import type { Backend } from '../backend/backend.ts'
import { type Preprocess, readPreprocessor, type Size } from '../data/preprocess.ts'
import type { Checkpoint } from '../io/checkpoint.ts'
import type { Init } from '../nn/layers.ts'
import type { ClassifierConfig, Dialect, Loaded, ModelNames, SaveExtra } from './model-kind.ts'
import { type ModelPacking, type PackingError, packModel } from './packing.ts'
import type { VitConfig } from './vit/config.ts'
import { vit } from './vit/kind.ts'
import type { LoadOptions } from './vit/load.ts'
import type { Vit } from './vit/vit.ts'

/** Any model that can be loaded, and what describes it. */
export type AnyModel = Vit
export type AnyConfig = VitConfig

const kinds = [vit] as const
type Kind = (typeof kinds)[number]

/** Hugging Face's model_types that can be loaded. */
export const families: readonly string[] = kinds.flatMap((kind) => kind.families)

/** The kind of a model by its family. */
export function modelKind({ family }: Pick<ClassifierConfig, 'family'>): Kind {
  const kind = kinds.find((one) => one.families.includes(family))
  if (!kind) throw new Error(`models: no kind has the family ${family}`)
  return kind
}

/** What a model's modules and parameters are called in Hugging Face's library. */
export const namesOf = (config: ClassifierConfig): ModelNames => modelKind(config).names

/** The kind that a checkpoint is of; what none of them reads is for the first to refuse. */
const kindOf = (checkpoint: Checkpoint): Kind => kinds.find((kind) => kind.reads(checkpoint)) ?? kinds[0]

/** The model that a checkpoint describes, from its configuration and the shapes of its tensors alone. */
export const describeModel = (checkpoint: Checkpoint): AnyConfig => kindOf(checkpoint).describe(checkpoint)

/** A config.json of Hugging Face's, of whichever family. Throws an InputError on what cannot be computed here. */
export function parseModelConfig(json: Readonly<Record<string, unknown>>): AnyConfig {
  return (kinds.find((kind) => kind.families.includes(String(json.model_type))) ?? kinds[0]).parse(json)
}

/**
 * The preprocessing of a parsed preprocessor_config.json, or that of a family's published checkpoints where there is none.
 * Where it neither resizes nor crops, images must have the size `own`, that of the model.
 */
export function parsePreprocessor(json: unknown, family: string, own?: Size): Preprocess {
  const kind = kinds.find((one) => one.families.includes(family))
  return readPreprocessor(json, (kind ? kind.published(family) : kinds[0].published(families[0]!)).images, own)
}

/** A model of this description; `init` starts every matrix and embedding. With `packing` those of its blocks are packed. */
export const buildModel = (backend: Backend, config: AnyConfig, init: Init, packing?: ModelPacking): AnyModel =>
  modelKind(config).build(backend, config, init, packing)

/**
 * Packs the f32 matrices of a model's blocks in 4 or 8 bits, one at a time; they are frozen from then on, and adapters on them stay.
 * Tells how far that is from what they were. Those that `checkpoint`, which they were read from, has in this format become what is
 * stored. Throws an InputError where `skip` names nothing, or a weight is not finite.
 */
export function quantizeModel(model: AnyModel, packing: ModelPacking, checkpoint?: Checkpoint): Promise<PackingError> {
  const nameOf = (path: string) => namesOf(model.config).checkpoint(path, model.config)
  // A bare backbone's names have no class name before them.
  const storedOf = (name: string) =>
    checkpoint?.packed(`${name}.weight`) ?? checkpoint?.packed(`${name.slice(name.indexOf('.') + 1)}.weight`)
  return packModel(model, packing, nameOf, storedOf)
}

/**
 * Builds the model that a checkpoint describes and fills in its weights. Throws InputError naming everything missing, every
 * tensor that would be left unread, and weights that are not finite.
 */
export const loadModel = (backend: Backend, checkpoint: Checkpoint, options?: LoadOptions): Promise<Loaded<AnyModel>> =>
  kindOf(checkpoint).load(backend, checkpoint, options)

/** Writes a whole model folder, all files or none. Throws InputError where the library of that dialect has no such model. */
export const saveModel = (model: AnyModel, folder: string, dialect?: Dialect, extra?: SaveExtra): Promise<string[]> =>
  modelKind(model.config).save(model, folder, dialect, extra)
