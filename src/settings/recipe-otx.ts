// The recipes `dino_v2` of OTX 2.6.0 and getitune 0.4.0, for every task and model: their values without what their code does
// otherwise than they say (docs/recipes.md). Pure.
import { augmentationPresets } from '../data/augmentations.ts'
import { tasks } from '../tasks/registry.ts'
import { because, fitting, type Recipe, type RecipeFacts, type RecipeValues } from './recipe.ts'

/** What both have. */
function common(name: string, { largestBatch, validates }: RecipeFacts): RecipeValues {
  const batchSize = fitting(64, largestBatch)
  return {
    ...because(`as ${name}'s dino_v2`, {
      epochs: 90,
      lr: 1e-4,
      weightDecay: 0.05,
      optimizer: 'adamw',
      warmup: 0,
      clip: 0,
      sampler: 'balanced',
    }),
    ...because(batchSize === 64 ? `as ${name}'s dino_v2` : `of ${name}'s 64 what fits into memory`, { batchSize }),
    ...because(`${name} adapts query and value with rank 8 and scaling 1, whatever is asked for`, {
      rank: 8,
      alpha: 8,
      targets: ['query', 'value'],
      loraDropout: 0,
    }),
    ...(validates
      ? {
          ...because(`as ${name}'s dino_v2`, {
            schedule: 'plateau',
            plateauFactor: 0.5,
            plateauPatience: 3,
            patience: 5,
          }),
          ...because(`the defaults of ${name}'s EarlyStoppingWithWarmup`, {
            minDelta: 0,
            patienceWarmup: 3,
            patienceWarmupSteps: 100,
          }),
          ...because(`${name} validates every max(round(5 exp(-0.025 steps an epoch)), 1) epochs`, {
            valEvery: 'adaptive',
          }),
        }
      : because('without images to validate on there is no plateau', { schedule: 'constant' })),
  }
}

export const otx: Recipe = (facts) => {
  // What OTX calls accuracy in a tree is a number of its own.
  const monitor = 'otx_accuracy' in tasks[facts.task].monitors ? 'otx_accuracy' : 'accuracy'
  return {
    ...common('OTX', facts),
    ...because("as OTX's dino_v2; what it ships off stays off", { augment: augmentationPresets.otx }),
    ...(facts.validates ? because('OTX monitors val/accuracy', { monitor }) : {}),
  }
}

export const getitune: Recipe = (facts) => {
  const monitor = 'map' in tasks[facts.task].monitors ? 'map' : 'f1'
  return {
    ...common('getitune', facts),
    ...because("as getitune's dino_v2", { augment: augmentationPresets.getitune }),
    ...(facts.validates
      ? because(`getitune monitors val/${monitor === 'map' ? monitor : 'f1-score'}`, { monitor })
      : {}),
  }
}
