// What a kind of model is. Each is a folder beside this file and a line in registry.ts; nobody else compares the names of its
// families.
import type { Backend } from '../backend/backend.ts'
import type { Checkpoint } from '../io/checkpoint.ts'
import type { Init, Linear } from '../nn/layers.ts'
import type { Model } from '../nn/model.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { ModelImages, Published } from './images.ts'
import type { ModelPacking } from './packing.ts'

/** Whose names a checkpoint has. */
export type Dialect = 'huggingface' | 'timm'

/** What every model is described by, whatever else its kind knows. */
export interface ClassifierConfig {
  /** Hugging Face's model_type. */
  readonly family: string
  /** How many blocks it has. */
  readonly layers: number
  /** Names of the classes, in the order of the logits; empty when there is no classifier. */
  classes: string[]
}

/** A model that ends in a classifier, which can be exchanged. */
export interface Classifier extends Model {
  readonly config: ClassifierConfig
  /** Number of features that the classifier reads. */
  readonly features: number
  /** Shape of what the classifier reads of one image; `outputs` takes as well what was pooled before, as `features` (B, ...pooled). */
  readonly pooled: readonly number[]
  readonly head: Linear | undefined
  /** The layers that make logits: the head, and what is averaged with it. */
  readonly heads: readonly Linear[]
  /** A new classifier for these classes (none for an empty list); the old one is freed. */
  setHead(classes: string[], init?: Init): void
  depthOf(name: string): number
}

/** What a kind's modules and parameters are called in Hugging Face's library, by our dotted names. */
export interface ModelNames<C extends ClassifierConfig = ClassifierConfig> {
  /** The base model inside the classification class: 'vit'. */
  base(config: C): string
  /** The class for classification: 'ViTForImageClassification'. */
  architecture(config: C): string
  /** The checkpoint's name of a module or parameter; what stands below a known name keeps its tail ('.weight'). */
  checkpoint(path: string, config: C): string
  /** The shape that a checkpoint stores for a parameter. */
  shape(path: string, shape: readonly number[], config: C): number[]
  /** Checkpoint names of the classifier modules, PEFT's usual modules_to_save. */
  heads(config: C): string[]
  /** Whether a checkpoint name is of a classifier, of any of these families. */
  isHeadModule(name: string): boolean
  /** Whether one of our names is of the classifier. */
  isHead(path: string): boolean
  /** Whether a linear layer of ours is one there too, so that adapters find it. */
  isLinear(path: string): boolean
  /** A checkpoint name as transformers 5 calls it in memory, and the reverse. */
  modern(name: string, config: C): string
  classic(name: string, config: C): string
}

export interface Loaded<M extends Classifier> {
  model: M
  dialect: Dialect
  /** Names in the checkpoint that the model has no use for, all of them known to be harmless. */
  unused: string[]
  /** What was left out or read otherwise than it stands there, a sentence each. */
  notes: string[]
}

/** What a model folder gets beside the weights; `config` is the config.json that a timm model was loaded with. */
export interface SaveExtra {
  preprocessor?: unknown
  config?: Record<string, unknown>
  /** Fields of config.json that say what the outputs are. */
  labels?: Record<string, unknown>
}

/** A kind of model as the registry has it. */
export interface ModelKind<C extends ClassifierConfig, M extends Classifier, LoadOptions> {
  /** Hugging Face's model_types that it computes. */
  readonly families: readonly string[]
  readonly names: ModelNames<C>
  /** Whether a checkpoint is for it to read. */
  reads(checkpoint: Checkpoint): boolean
  /** A config.json of Hugging Face's. Throws an InputError on what cannot be computed here. */
  parse(json: unknown): C
  /** The model that a checkpoint describes, from its configuration and the shapes of its tensors alone. */
  describe(checkpoint: Checkpoint): C
  /** With `packing` its blocks' matrices are packed, but for those that it skips. */
  build(backend: Backend, config: C, init: Init, packing?: ModelPacking): M
  load(backend: Backend, checkpoint: Checkpoint, options?: LoadOptions): Promise<Loaded<M>>
  /** Returns what is stored otherwise than the model has it, a sentence each. */
  save(model: M, folder: string, dialect?: Dialect, extra?: SaveExtra): Promise<string[]>
  /** What is known of a family's published checkpoints; stands in where a checkpoint does not say it. */
  published(family: string): Published
  /** What a checkpoint of that configuration says of its images. Throws an InputError where that cannot be known. */
  imagesOf(checkpoint: Checkpoint, config: C): ModelImages
  /** How much of each patch of images is in what the classifier reads, (B, patches) row by row of the image. */
  lookedAt(model: M, images: Tensor): Tensor
  /** What training leaves out though config.json asks for it, each as what follows 'trains without'. */
  leavesOut(json: Readonly<Record<string, unknown>>): string[]
}
