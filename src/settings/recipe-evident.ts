// The recipes that follow trials and papers: `default`, `fast`, `accurate`. docs/recipes.md has the numbers behind each value,
// and what was not measured. Pure.
import { methodOf } from '../adapters/methods.ts'
import type { Augmentations } from '../data/augmentations.ts'
import { tasks } from '../tasks/registry.ts'
import { because, type Chosen, fitting, type Recipe, type RecipeFacts, type RecipeValues } from './recipe.ts'

/** Features up to which a model counts as small: rates were measured at 128, papers have 384 and more. */
const SMALL = 128

/**
 * Epochs for so many images: 20 up to 500, then falling as the root of their number, so that more images are always seen more
 * often in all; at least 4; times `factor`.
 */
export function epochsFor(images: number, factor = 1): number {
  return Math.max(2, Math.round(factor * Math.min(20, Math.max(4, 20 * Math.sqrt(500 / Math.max(1, images))))))
}

/** Images a batch before memory is asked: a small set needs steps more than it needs their gradients calm. */
const batchFor = (images: number): number => (images < 400 ? 8 : images < 4000 ? 16 : images < 40_000 ? 32 : 64)

/** Epochs below which training is short: images are not changed, and what adapts a small model takes longer steps. */
const SHORT = 10

function rateFor(
  { method, features = Number.POSITIVE_INFINITY }: RecipeFacts,
  epochs: number,
  hurried: boolean,
): Chosen<number> {
  const { defaultRate, trains } = methodOf(method)
  const small = features <= SMALL
  // A classifier alone hardly overfits; what changes features does, in many steps at a high rate.
  const base = small && (trains === 'classifier' || epochs < SHORT) ? 5 : 1
  const factor = base * (hurried && (base === 1 || trains === 'classifier') ? 2 : 1)
  return {
    value: Number((factor * defaultRate).toPrecision(3)),
    why:
      factor === 1
        ? 'the rate of the method (arXiv:2409.16434, and as measured in 20 epochs)'
        : `${factor} times the rate of the method${small ? ', as measured on a small model' : ', for fewer steps'}`,
  }
}

/** The longer each image is seen, the more it is changed. */
function augmentFor(epochs: number, inputSize: number): Chosen<Augmentations | false> {
  if (epochs < SHORT) {
    return { value: false, why: `in ${epochs} epochs neither crops nor mirrors gain anything, as measured` }
  }
  if (epochs < 30 || inputSize < 96) {
    return {
      value: { crop: { area: [0.5, 1] }, flip: 0.5 },
      why: 'crops that keep half of the area or more, and mirrors, as measured at 32 px',
    }
  }
  return {
    value: { crop: { area: [0.2, 1] }, flip: 0.5 },
    why: 'crops of a fifth or more and mirrors, for long training at full size; not measured here',
  }
}

/** `default` with so many times its epochs. */
function values(facts: RecipeFacts, factor: number): RecipeValues & { readonly epochs: Chosen<number> } {
  const { images, largestBatch, inputSize } = facts
  const epochs = epochsFor(images, factor)
  const wanted = batchFor(images)
  const batch = fitting(wanted, largestBatch)
  return {
    epochs: {
      value: epochs,
      why: `for ${images} images: ${factor === 1 ? '' : `${Number(factor.toPrecision(2))} times `}20 up to 500, falling as the root of more`,
    },
    batchSize: {
      value: batch,
      why: batch === wanted ? `for ${images} images` : `of ${wanted} for ${images} images what fits into memory`,
    },
    lr: rateFor(facts, facts.epochs ?? epochs, factor < 1),
    ...because('usual with AdamW for transformers (arXiv:2409.16434)', { weightDecay: 0.05 }),
    ...because('a rate that rises for a tenth of the steps and falls to 0 on a cosine, as measured', {
      schedule: 'cosine',
      warmup: '10%',
    }),
    augment: augmentFor(facts.epochs ?? epochs, inputSize),
  }
}

export const evident: Recipe = (facts) => values(facts, 1)

/** Most of the accuracy in a third of the steps. */
export const fast: Recipe = (facts) => values(facts, 1 / 3)

/** Twice the steps from 500 images on, and what helps long training. */
export const accurate: Recipe = (facts) => {
  const { trains } = methodOf(facts.method)
  const smooths = tasks[facts.task].options.includes('labelSmoothing')
  return {
    // On 100 images longer training ended worse, as measured.
    ...values(facts, facts.images < 500 ? 1 : 2),
    ...because('averages of the weights over about the last hundred steps (arXiv:2411.18704)', { ema: 0.99 }),
    ...(smooths
      ? because('keeps outputs from growing in long training (arXiv:1906.02629)', { labelSmoothing: 0.1 })
      : {}),
    ...(trains === 'adapter'
      ? because('a little better in trials and in arXiv:2603.17782, for a fifth more time', { targets: 'all-linear' })
      : {}),
    ...(trains === 'all'
      ? because('as full fine-tuning of pre-trained transformers has it (arXiv:2106.08254)', {
          layerDecay: 0.75,
          dropPath: 0.1,
        })
      : {}),
  }
}
