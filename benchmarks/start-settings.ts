// How `npm start` trains: what two cores manage in less than two minutes. No code.
import type { ExperimentMethod, RunSettings } from '../src/index.ts'

/** Images of each class. The test images are the same for every run. */
export const trainPerClass = 40
export const testPerClass = 50

/** The same for every method. No augmentation: a mirrored digit is another digit. */
export const settings = {
  epochs: 4,
  batchSize: 8,
  weightDecay: 0.05,
  schedule: 'cosine',
  warmup: 0.1,
  clip: 1,
} satisfies RunSettings

/** Learning rates, found by start-rates.ts. */
export const perMethod: Record<ExperimentMethod, RunSettings> = {
  linear: { lr: 2e-2 },
  lora: { lr: 5e-3 },
  dora: { lr: 5e-3 },
  full: { lr: 2.5e-4 },
  scratch: { lr: 5e-4 },
}
