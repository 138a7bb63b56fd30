// Recipes: how a run is trained where its settings do not say, as functions of what is known of it. Each value has its reason.
// Not here: settings themselves (schema.ts). Pure.
import { type Method, methodOf } from '../adapters/methods.ts'
import type { TaskName } from '../labels/labels.ts'
import type { RecipeName, TrainSettings } from './settings.ts'

/** What a recipe may ask. */
export interface RecipeFacts {
  readonly method: Method
  readonly task: TaskName
  /** Images to train on. */
  readonly images: number
  readonly labels: number
  /** Whether there are images to validate on. */
  readonly validates: boolean
  /** Side of the model's input in pixels; the shorter one. */
  readonly inputSize: number
  /** The largest batch that fits into memory, where it is known. */
  readonly largestBatch?: number | undefined
}

/** Settings that a recipe may decide. */
export const recipeSettings = [
  'epochs',
  'batchSize',
  'lr',
  'weightDecay',
  'optimizer',
  'schedule',
  'warmup',
  'plateauFactor',
  'plateauPatience',
  'clip',
  'patience',
  'minDelta',
  'patienceWarmup',
  'patienceWarmupSteps',
  'valEvery',
  'monitor',
  'ema',
  'layerDecay',
  'sampler',
  'labelSmoothing',
  'dropPath',
  'augment',
  'mixup',
  'cutmix',
  'rank',
  'alpha',
  'targets',
  'loraDropout',
] as const satisfies readonly (keyof TrainSettings)[]
export type RecipeSetting = (typeof recipeSettings)[number]

/** A value, and why. */
export interface Chosen<T> {
  readonly value: T
  /** One sentence without its full stop, with its source. */
  readonly why: string
}

export type RecipeValues = { readonly [K in RecipeSetting]?: Chosen<NonNullable<TrainSettings[K]>> }

/** What a recipe says of a run; a setting that it leaves out has its general default. */
export const recipes: Readonly<Record<RecipeName, (facts: RecipeFacts) => RecipeValues>> = {
  default: ({ method }) => ({
    lr: { value: methodOf(method).defaultRate, why: 'the usual rate of the method' },
    augment: { value: { crop: {}, flip: 0.5 }, why: 'random crops and mirroring, as OTX' },
  }),
  otx: ({ method }) => recipes.default({ method } as RecipeFacts),
  getitune: ({ method }) => recipes.default({ method } as RecipeFacts),
  fast: ({ method }) => recipes.default({ method } as RecipeFacts),
  accurate: ({ method }) => recipes.default({ method } as RecipeFacts),
}
