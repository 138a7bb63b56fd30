// What a recipe is: settings of a run as functions of what is known of it, each value with its reason. Those that there are
// stand in recipes.ts.
import type { Method } from '../adapters/methods.ts'
import type { TaskName } from '../labels/labels.ts'
import type { Settings } from '../schema/setting.ts'
import type { TrainSettings } from './settings.ts'

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
  /** Features that the classifier reads, where they are known. */
  readonly features?: number | undefined
  /** The largest batch that fits into memory, where it is known. */
  readonly largestBatch?: number | undefined
  /** Epochs that were asked for, where they were. */
  readonly epochs?: number | undefined
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

/** Settings as they are shown: what a recipe decides has no default of its own. */
export const asRecipesSay = (settings: Settings): Settings =>
  Object.fromEntries(
    Object.entries(settings).map(([name, setting]) =>
      (recipeSettings as readonly string[]).includes(name)
        ? [name, { ...setting, default: undefined, otherwise: 'as the recipe says' }]
        : [name, setting],
    ),
  )

/** A value, and why. */
export interface Chosen<T> {
  readonly value: T
  /** One sentence without its full stop, with its source. */
  readonly why: string
}

export type RecipeValues = { readonly [K in RecipeSetting]?: Chosen<NonNullable<TrainSettings[K]>> }

export type Recipe = (facts: RecipeFacts) => RecipeValues

/** A batch, or the largest of its halves that fits into memory. */
export function fitting(wanted: number, largestBatch = Number.POSITIVE_INFINITY): number {
  let batch = wanted
  while (batch > 1 && batch > largestBatch) batch = Math.ceil(batch / 2)
  return batch
}

/** Values of one reason. */
export const because = <T extends Partial<TrainSettings>>(
  why: string,
  values: T,
): { [K in keyof T]: Chosen<NonNullable<T[K]>> } =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value, why }])) as {
    [K in keyof T]: Chosen<NonNullable<T[K]>>
  }
