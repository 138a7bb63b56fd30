// Recipes: what each sets for which facts, that what is given wins, and that they agree with the files that they are named after.
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from 'vitune/adapters'
import { taskNames } from 'vitune/train'
import { readConfig } from '../src/cli/config-file.ts'
import { type RecipeFacts, recipeSettings } from '../src/settings/recipe.ts'
import { epochsFor } from '../src/settings/recipe-evident.ts'
import { recipes } from '../src/settings/recipes.ts'
import { checkSettings, complete, withRecipe } from '../src/settings/setting-rules.ts'
import { recipeNames, type TrainSettings } from '../src/settings/settings.ts'

const facts: RecipeFacts = {
  method: 'lora',
  task: 'multiclass',
  images: 500,
  labels: 10,
  validates: true,
  inputSize: 224,
  features: 768,
}

/** What a recipe sets, without reasons. */
function valuesOf(recipe: keyof typeof recipes, more: Partial<RecipeFacts> = {}): Partial<TrainSettings> {
  const chosen = Object.entries(recipes[recipe]({ ...facts, ...more }))
  return Object.fromEntries(chosen.map(([name, { value }]) => [name, value]))
}

const given: TrainSettings = { data: 'images', model: 'model' }

for (const name of recipeNames) {
  test(`${name} sets valid values with reasons for any method, task and size`, () => {
    for (const method of methods) {
      for (const task of taskNames) {
        for (const images of [1, 30, 500, 5000, 1e6]) {
          for (const [inputSize, features] of [
            [32, 128],
            [224, 384],
            [518, undefined],
          ] as const) {
            for (const validates of [true, false]) {
              const about = { ...facts, method, task, images, inputSize, features, validates }
              for (const [setting, { why }] of Object.entries(recipes[name](about))) {
                assert.ok(recipeSettings.includes(setting as (typeof recipeSettings)[number]), setting)
                assert.match(why, /^\S.*[^.\s]$/, setting)
              }
              const { settings } = withRecipe({ ...given, recipe: name, peft: method, task }, about)
              checkSettings(settings)
              // What needs images to validate on is left out where there are none.
              if (validates) continue
              assert.not.equal(settings.schedule, 'plateau')
              assert.is(settings.patience, undefined)
              assert.is(settings.monitor, undefined)
            }
          }
        }
      }
    }
  })

  test(`what is given wins over ${name}`, () => {
    const asked: Partial<TrainSettings> = {
      epochs: 3,
      batchSize: 5,
      lr: 0.123,
      weightDecay: 0.9,
      schedule: 'constant',
      warmup: 7,
      augment: false,
      rank: 3,
      targets: ['key'],
      patience: 2,
      sampler: 'shuffle',
    }
    const { settings, reasons } = withRecipe({ ...given, recipe: name, ...asked }, facts)
    for (const [setting, value] of Object.entries(asked)) {
      assert.equal(settings[setting as keyof TrainSettings], value, setting)
      assert.is(reasons[setting], undefined)
    }
    assert.equal(complete(settings).lr, 0.123)
    checkSettings(settings)
    // What belongs to a plateau or to patience goes with it.
    checkSettings(withRecipe({ ...given, recipe: name, schedule: 'cosine', patience: 0 }, facts).settings)
  })

  test(`the batch of ${name} is the largest of its halves that fits`, () => {
    const whole = valuesOf(name).batchSize!
    let before = 0
    for (let largestBatch = 1; largestBatch <= 2 * whole; largestBatch++) {
      const batch = valuesOf(name, { largestBatch }).batchSize!
      assert.ok(batch <= largestBatch && batch >= before, String(largestBatch))
      assert.ok(Number.isInteger(Math.log2(whole / batch)))
      before = batch
    }
    assert.is(before, whole)
  })
}

test('more images are seen less often each and more often in all', () => {
  for (const recipe of ['default', 'fast'] as const) {
    let [epochs, seen, batch] = [Number.POSITIVE_INFINITY, 0, 0]
    for (const images of [10, 50, 100, 125, 300, 500, 1000, 2000, 5000, 12_500, 50_000, 1e6]) {
      const now = valuesOf(recipe, { images })
      assert.ok(now.epochs! <= epochs && now.epochs! * images > seen && now.batchSize! >= batch, `${recipe} ${images}`)
      ;[epochs, seen, batch] = [now.epochs!, now.epochs! * images, now.batchSize!]
    }
  }
})

test('fast takes the fewest steps and accurate the most', () => {
  for (const images of [10, 100, 500, 5000, 50_000]) {
    const [fast, usual, accurate] = (['fast', 'default', 'accurate'] as const).map(
      (recipe) => valuesOf(recipe, { images }).epochs!,
    )
    assert.ok(fast! < usual! && (images < 500 ? usual === accurate : usual! < accurate!), String(images))
  }
})

test('labels are not smoothed where an old model or a teacher says what they are', () => {
  const smoothing = (more: Partial<TrainSettings>) =>
    withRecipe({ recipe: 'accurate', ...more }, { ...facts, images: 1000 }).settings.labelSmoothing
  assert.is(smoothing({}), 0.1)
  assert.is(smoothing({ from: 'a run', distill: 1 }), undefined)
  assert.is(smoothing({ unlabelled: 'more' }), undefined)
})

test('epochs that are asked for decide how images are changed', () => {
  const few = withRecipe({ ...given, epochs: 5 }, facts)
  assert.is(few.settings.augment, false)
  const more = withRecipe({ ...given, epochs: 20 }, facts)
  assert.ok((more.settings.augment as { crop?: unknown }).crop)
  // Explicitly as the recipe says, and not at all.
  assert.is(withRecipe({ ...given, epochs: 5, augment: true }, facts).settings.augment, false)
  assert.is(withRecipe({ ...given, epochs: 20, augment: false }, facts).settings.augment, false)
})

test('full tuning has the lowest rate, fast a higher one, and the classifier of a small model a higher one', () => {
  const rates = (recipe: 'default' | 'fast', features?: number) =>
    methods.map((method) => valuesOf(recipe, { method, features }).lr)
  assert.equal(methods, ['full', 'linear', 'lora', 'dora'])
  assert.equal(rates('default', 384), [1e-4, 1e-3, 1e-3, 1e-3])
  assert.equal(rates('default', 128), [1e-4, 5e-3, 1e-3, 1e-3])
  assert.equal(rates('fast', 384), [2e-4, 2e-3, 2e-3, 2e-3])
  assert.equal(rates('fast', 128), [5e-4, 1e-2, 5e-3, 5e-3])
  // In few epochs a small model takes longer steps.
  const short = methods.map((method) => valuesOf('default', { method, features: 128, epochs: 4 }).lr)
  assert.equal(short, [5e-4, 5e-3, 5e-3, 5e-3])
  assert.is(valuesOf('default', { epochs: 4, features: 384 }).lr, 1e-3)
  // Where the width is not known, the model is taken for full-size.
  assert.equal(rates('default'), rates('default', 384))
})

test('epochs by number of images', () => {
  for (const [images, epochs] of [
    [1, 20],
    [100, 20],
    [500, 20],
    [2000, 10],
    [10_000, 4],
    [1e6, 4],
  ] as const) {
    assert.is(epochsFor(images), epochs, String(images))
  }
})

for (const [recipe, file, task] of [
  ['otx', 'otx-2.6.0/classification/multi_class_cls', 'multiclass'],
  ['otx', 'otx-2.6.0/classification/multi_label_cls', 'multilabel'],
  ['otx', 'otx-2.6.0/classification/h_label_cls', 'hierarchical'],
  ['getitune', 'getitune-0.4.0/classification/multi_class_cls', 'multiclass'],
  ['getitune', 'getitune-0.4.0/classification/multi_label_cls', 'multilabel'],
] as const) {
  test(`${recipe} is what ${file}/dino_v2.yaml says, where both speak`, async () => {
    const path = fileURLToPath(new URL(`fixtures/recipes/${file}/dino_v2.yaml`, import.meta.url))
    const { settings } = await readConfig(path)
    const values = valuesOf(recipe, { task })
    const both = Object.keys(values).filter((name) => settings[name as keyof TrainSettings] !== undefined)
    for (const name of both) {
      assert.equal(values[name as keyof TrainSettings], settings[name as keyof TrainSettings], name)
    }
    assert.ok(both.length >= 15, both.join(', '))
    // And all that the file says of what recipes decide, the recipe says too.
    const left = recipeSettings.filter((name) => settings[name] !== undefined && values[name] === undefined)
    assert.equal(left, [])
  })
}

test('getitune watches another metric than OTX, by task', () => {
  assert.is(valuesOf('otx').monitor, 'accuracy')
  assert.is(valuesOf('otx', { task: 'hierarchical' }).monitor, 'otx_accuracy')
  assert.is(valuesOf('getitune').monitor, 'f1')
  assert.is(valuesOf('getitune', { task: 'multilabel' }).monitor, 'map')
  assert.is(valuesOf('getitune', { task: 'hierarchical' }).monitor, 'f1')
})

test.run()
