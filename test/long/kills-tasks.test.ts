// Runs of any number of labels an image, and of a tree, killed at twenty random moments of their writing each, half of them
// twice: the resumed run's files are those of one that was not. VITUNE_KILL_SEED repeats a run; the seed is told.
import { join } from 'node:path'
import { test } from 'uvu'
import { Rng } from 'vitune/tensor'
import { model, temporary } from '../cli-tools.ts'
import { killAndResume } from '../kills.ts'
import { labelledColumns, labelledTree } from '../task-pictures.ts'

const seed = Number(process.env.VITUNE_KILL_SEED ?? Date.now() % 1e9)
console.log(`seed ${seed}`)
const rng = new Rng(seed, 32)
const { folder, clean } = temporary()
test.after(clean)
const common = ['--model', model, '--epochs', '3', '--batch-size', '6', '--threads', '1', '--device', 'wasm']
const kills = 20

const recipes: Record<string, string[]> = {
  'any number of labels, some unknown, LoRA with weights and a balanced order': [
    ...['--data', await labelledColumns(join(folder, 'columns')), '--positive-weights', 'balanced'],
    ...['--sampler', 'balanced', '--monitor', 'f1', '--lora-dropout', '0.1', '--save-every', '0'],
  ],
  'a tree, full, along its paths': [
    ...['--data', await labelledTree(join(folder, 'tree')), '--peft', 'full', '--lr', '1e-3'],
    ...['--path-consistency', '0.5', '--monitor', 'loss', '--schedule', 'plateau', '--save-every', '0'],
  ],
  'a tree, full, averaged, by layer, on mixed images': [
    ...['--data', await labelledTree(join(folder, 'mixed')), '--peft', 'full', '--lr', '1e-3', '--save-every', '0'],
    ...['--ema', '0.8', '--layer-decay', '0.7', '--mixup', '0.4', '--cutmix', '1', '--val-every', '2'],
  ],
}
let places = 0

for (const [name, recipe] of Object.entries(recipes)) {
  test(`${name}: killed at ${kills} random moments`, async () => {
    const args = (out: string) => ['train', ...common, ...recipe, '--out', out]
    await killAndResume(folder, `recipe-${places++}`, args, kills, rng)
  })
}

test.run()
