// Which trials answer which question. The first are the most wanted: a run that is ended early has those. A rate is chosen by
// the validation images of seed 0, then the other seeds have it too.
import { byRecipe, keyOf, type Trial, type TrialResult } from './trial.ts'

/** Finished trials by name. */
export type Results = ReadonlyMap<string, TrialResult>

const lora = { method: 'lora', targets: 'query,value', rank: 8, schedule: 'cosine', batch: 8, augment: 'none' } as const

/** Data of the trials with how long they are trained; most of the time goes to steps, whose number hardly differs. */
const few = { data: 'cifar10', perClass: 10, epochs: 15 } as const
const some = { data: 'cifar10', perClass: 50, epochs: 4 } as const
const many = { data: 'cifar10', perClass: 250, epochs: 1 } as const
const own = [
  { data: 'fashion', perClass: 10, epochs: 8 },
  { data: 'digits', perClass: 10, epochs: 8 },
  { data: 'emoji-tree', perClass: 6, epochs: 8 },
  { data: 'emoji-tags', perClass: 8, epochs: 8 },
] as const

type Set = Pick<Trial, 'data' | 'perClass' | 'epochs'>
type Without = Omit<Trial, 'lr' | 'seed'>

/** Of these rates with seed 0, the one whose last validation is best; undefined while one is missing. */
export function bestRate(results: Results, trial: Without, rates: readonly number[]): number | undefined {
  const found = rates.map((lr) => results.get(keyOf({ ...trial, lr, seed: 0 }))?.marks.at(-1)?.val)
  if (found.some((val) => val === undefined)) return undefined
  return rates[found.indexOf(Math.max(...(found as number[])))]
}

/** All rates with seed 0, then the best with the other seeds. */
function rated(results: Results, trial: Without, rates: readonly number[], more: readonly number[] = [1, 2]): Trial[] {
  const first = rates.map((lr) => ({ ...trial, lr, seed: 0 }))
  const lr = bestRate(results, trial, rates)
  return lr === undefined ? first : [...first, ...more.map((seed) => ({ ...trial, lr, seed }))]
}

export const targetRates = [1.5e-3, 5e-3]
const both = ['query,value', 'all-linear'] as const

/** The rate of the trials that do not compare rates. */
const usual = 5e-3

/** A set's trials that differ in one thing. */
const differing = (set: Set, seed: number, changes: readonly Partial<Trial>[]): Trial[] =>
  changes.map((change) => ({ ...lora, ...set, lr: usual, seed, ...change }))

const crops = (['none', 'flip', 'crop50', 'crop50+flip', 'crop08+flip'] as const).map((augment) => ({ augment }))
const mirrors = (['none', 'flip', 'crop50', 'crop50+flip'] as const).map((augment) => ({ augment }))
const fewer = { ...few, epochs: 5 } as const
const longer = { ...some, epochs: 12 } as const

const targets = both.map((targets) => ({ targets }))
const ownTargets = (seed: number): Trial[] => own.flatMap((set) => differing(set, seed, targets))

const rates = (method: 'linear' | 'full' | 'dora', list: readonly number[]) =>
  list.map(
    (lr): Trial => ({
      ...(method === 'dora' ? { ...lora, method } : { method, schedule: 'cosine', batch: 8, augment: 'none' }),
      ...some,
      lr,
      seed: 0,
    }),
  )

/** Trials by question, as far as they are known from what is finished. */
export const questions: Record<string, (results: Results) => Trial[]> = {
  targets: (results) => both.flatMap((targets) => rated(results, { ...lora, ...some, targets }, targetRates)),
  sameRate: () => [1, 2].flatMap((seed) => differing(some, seed, targets)),
  linear: () => rates('linear', [1e-3, 3e-3, 1e-2, 3e-2]),
  schedules: () => [0, 1].flatMap((seed) => differing(some, seed, [{ schedule: 'constant' }])),
  own: () => ownTargets(0),
  few: () => [...differing(few, 0, targets), ...differing(few, 0, crops)],
  augment: () => differing(some, 0, crops),
  mirror: () => differing(own[1], 0, mirrors),
  crop: () => differing(few, 0, [{ augment: 'crop50' }]),
  recipes: () =>
    ['cifar10', 'fashion'].flatMap((data) =>
      (['default', 'fast', 'accurate'] as const).map((recipe) => byRecipe(recipe, data, 10, 0)),
    ),
  lasting: () =>
    [0, 1].flatMap((seed) =>
      [1e-3, 5e-4].map((lr): Trial => ({ ...lora, ...few, epochs: 20, augment: 'crop50+flip', lr, seed })),
    ),
  fewAgain: () => [...differing(few, 1, targets), ...differing(few, 1, crops)],
  ownAgain: () => ownTargets(1),
  fewer: () => differing(fewer, 0, crops),
  many: () => differing(many, 0, targets),
  augmentAgain: () => differing(some, 1, crops),
  ranks: () => differing(some, 0, [{ rank: 2 }, { rank: 32 }]),
  third: () => [...differing(few, 2, targets), ...differing(few, 2, crops), ...ownTargets(2)],
  mirrorAgain: () => [1, 2].flatMap((seed) => differing(own[1], seed, mirrors)),
  full: () => rates('full', [5e-4, 1.5e-3, 1.5e-4]),
  dora: () => rates('dora', [1.5e-3, 5e-3]),
  longer: () => differing(longer, 0, crops),
  manyAgain: () => [1, 2].flatMap((seed) => differing(many, seed, targets)),
  augmentThird: () => differing(some, 2, crops),
  fewerAgain: () => [1, 2].flatMap((seed) => differing(fewer, seed, crops)),
  ranksAgain: () => [1, 2].flatMap((seed) => differing(some, seed, [{ rank: 2 }, { rank: 32 }])),
  batches: () => [0, 1, 2].flatMap((seed) => differing(some, seed, [{ batch: 16 }])),
  before: () =>
    [0, 1].flatMap((seed) => [
      byRecipe('default', 'cifar10', 50, seed),
      {
        ...lora,
        ...some,
        epochs: 20,
        lr: 1e-3,
        seed,
        schedule: 'constant',
        batch: 16,
        augment: 'crop08+flip',
      } as const,
    ]),
  higher: () =>
    [0, 1].map((seed): Trial => {
      const { recipe: _, ...asDefault } = byRecipe('default', 'cifar10', 50, seed)
      return { ...asDefault, lr: 3e-3 }
    }),
  manyAugment: () => differing({ ...many, epochs: 2 }, 0, crops),
}
