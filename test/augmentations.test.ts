// What changes training images: pixels against stored ones of torchvision and kornia, what is drawn against their
// distributions, and that neither depends on the machine.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { RgbImage } from 'vitune'
import {
  type Augmentations,
  applyChanges,
  augmentationPresets,
  type DrawnChanges,
  drawChanges,
  evalTransform,
  sampleRng,
  trainTransform,
  transformOf,
} from 'vitune/data'
import { openSafetensors } from 'vitune/io'
import { parsePreprocessor } from 'vitune/models'
import { Rng } from 'vitune/tensor'
import { exp, log, normalQuantile, sinCos } from '../src/data/augment/maths.ts'
import { addNoise, normals } from '../src/data/augment/noise.ts'
import { drawOperations, operations } from '../src/data/augment/rand-augment.ts'
import { augmentationsInWords } from '../src/data/augmentations.ts'
import { readAugment } from '../src/settings/augment.ts'

const folder = fileURLToPath(new URL('fixtures/augmentations/', import.meta.url))
const stored = await openSafetensors(`${folder}values.safetensors`)
const notes = JSON.parse(readFileSync(`${folder}values.json`, 'utf8'))
const bytes = async (name: string) => Uint8Array.from(await stored.read(name))
const pictures = new Map<string, Uint8Array>()
for (const name of Object.keys(notes.sizes)) pictures.set(name, await bytes(`image.${name}`))

/** A picture of the fixtures, which may be changed. */
function picture(name: string): RgbImage {
  const [height, width] = notes.sizes[name]
  return { height, width, data: pictures.get(name)!.slice() }
}

interface Case {
  name: string
  image: string
  changes: DrawnChanges
}
const cases: Case[] = notes.cases
/** Levels may differ by one: where the other's f32 sums come out on the other side of a level. */
for (const family of [...new Set(cases.map(({ name }) => name.split('.')[0]!))]) {
  test(`${family} gives the pixels of torchvision or kornia, given what was drawn`, async () => {
    for (const { name, image, changes } of cases.filter((one) => one.name.split('.')[0] === family)) {
      const wanted = await bytes(name)
      const { data } = applyChanges(picture(image), changes)
      assert.is(data.length, wanted.length, name)
      let off = 0
      let worst = 0
      for (let i = 0; i < data.length; i++) {
        const far = Math.abs(data[i]! - wanted[i]!)
        if (far > 0) off++
        worst = Math.max(worst, far)
      }
      assert.ok(worst <= 1, `${name}: off by ${worst}`)
      assert.ok(off <= 0.02 * data.length, `${name}: ${off} of ${data.length} values differ`)
    }
  })
}

test('noise gives the values of torchvision for the same normal numbers, rounded to levels', async () => {
  const { data } = picture(notes.noise.image)
  const z = Float32Array.from(await stored.read('noise.z'))
  const wanted = await stored.read('noise')
  addNoise(data, z, notes.noise.sigma)
  for (let i = 0; i < data.length; i++) assert.ok(Math.abs(data[i]! - wanted[i]!) <= 0.5001, `${data[i]} ${wanted[i]}`)
})

test("RandAugment's strengths are torchvision's at each of 31 places", () => {
  const size = { height: 20, width: 24 }
  for (const [name, strengths] of Object.entries(notes.strengths as Record<string, number[]>)) {
    const { strength } = { strength: undefined, ...operations[name as keyof typeof operations] } as {
      strength?: (i: number, n: number, size: { width: number; height: number }) => number
    }
    if (strengths.length === 0) assert.is(strength, undefined, name)
    for (const [i, wanted] of strengths.entries()) {
      assert.ok(Math.abs(strength!(i, 31, size) - wanted) < 1e-7, `${name} ${i}: ${strength!(i, 31, size)} ${wanted}`)
    }
  }
  assert.equal(Object.keys(operations), Object.keys(notes.strengths))
})

const source = { width: 40, height: 30 }
const out = { width: 16, height: 16 }
/** What is drawn for each of many images. */
const drawn = (augmentations: Augmentations, n = 2000): DrawnChanges[] =>
  Array.from({ length: n }, (_, i) => drawChanges(augmentations, source, out, sampleRng(5, 0, i)))
/** Mean, least and most of what is there, and how often it is. */
function facts(values: readonly (number | undefined)[]) {
  const there = values.filter((value) => value !== undefined)
  const mean = there.reduce((a, b) => a + b, 0) / there.length
  return { mean, least: Math.min(...there), most: Math.max(...there), share: there.length / values.length }
}
/** Evenly drawn between `least` and `most` in a `share` of the images, for 2000 of them. */
function isEven(values: readonly (number | undefined)[], least: number, most: number, share: number, name: string) {
  const found = facts(values)
  const width = most - least
  assert.ok(found.least >= least && found.most <= most, `${name}: ${found.least} to ${found.most}`)
  assert.ok(
    found.least < least + width / 50 && found.most > most - width / 50,
    `${name}: ${found.least} to ${found.most}`,
  )
  assert.ok(Math.abs(found.mean - (least + most) / 2) < width / 25, `${name}: mean ${found.mean}`)
  assert.ok(Math.abs(found.share - share) < 0.045, `${name}: in ${found.share}`)
}

test('each change is drawn as often, as strong and in the order that torchvision and kornia draw it', () => {
  const all = drawn({
    flip: 0.3,
    verticalFlip: 0.5,
    colorJitter: { brightness: 0.4, contrast: 0.3, saturation: 1, hue: 0.1, p: 0.8 },
    colorJiggle: {},
    photometric: {},
    affine: { p: 0.7 },
    blur: {},
    noise: { sigma: 0.2, p: 0.25 },
  })
  const share = (name: keyof DrawnChanges) => all.filter((one) => one[name] !== undefined).length / all.length
  assert.ok(Math.abs(share('flip') - 0.3) < 0.04 && Math.abs(share('verticalFlip') - 0.5) < 0.04)
  assert.ok(Math.abs(share('noise') - 0.25) < 0.04)
  assert.ok(all.every(({ noise }) => noise === undefined || noise.sigma === 0.2))
  isEven(
    all.map((d) => d.colorJitter?.brightness),
    0.6,
    1.4,
    0.8,
    'jitter brightness',
  )
  isEven(
    all.map((d) => d.colorJitter?.contrast),
    0.7,
    1.3,
    0.8,
    'jitter contrast',
  )
  isEven(
    all.map((d) => d.colorJitter?.saturation),
    0,
    2,
    0.8,
    'jitter saturation',
  )
  isEven(
    all.map((d) => d.colorJitter?.hue),
    -0.1,
    0.1,
    0.8,
    'jitter hue',
  )
  isEven(
    all.map((d) => d.colorJiggle?.brightness),
    0.8,
    1.2,
    0.5,
    'jiggle brightness',
  )
  isEven(
    all.map((d) => d.colorJiggle?.hue),
    -0.05,
    0.05,
    0.5,
    'jiggle hue',
  )
  isEven(
    all.map((d) => d.photometric?.brightness),
    0.875,
    1.125,
    0.5,
    'photometric brightness',
  )
  isEven(
    all.map((d) => d.photometric?.contrast),
    0.5,
    1.5,
    0.5,
    'photometric contrast',
  )
  isEven(
    all.map((d) => d.photometric?.saturation),
    0.5,
    1.5,
    0.5,
    'photometric saturation',
  )
  isEven(
    all.map((d) => d.photometric?.hue),
    -0.05,
    0.05,
    0.5,
    'photometric hue',
  )
  assert.ok(Math.abs(all.filter((d) => d.photometric?.contrastFirst).length / all.length - 0.5) < 0.04)
  isEven(
    all.map((d) => d.affine?.angle),
    -10,
    10,
    0.7,
    'angle',
  )
  isEven(
    all.map((d) => d.affine?.scale),
    0.5,
    1.5,
    0.7,
    'scale',
  )
  for (const at of [0, 1])
    isEven(
      all.map((d) => d.affine?.shear?.[at]),
      -2,
      2,
      0.7,
      'shear',
    )
  // Whole pixels of 1.6 at most, as torchvision rounds them.
  const moves = new Set(all.flatMap((d) => d.affine?.translate ?? []))
  assert.equal(
    [...moves].sort((a, b) => a - b).map((x) => x + 0),
    [-2, -1, 0, 1, 2],
  )
  isEven(
    all.map((d) => d.blur?.sigma),
    0.1,
    2,
    0.5,
    'sigma',
  )
  assert.ok(all.every(({ blur }) => blur === undefined || blur.kernel === 5))
  for (const name of ['colorJitter', 'colorJiggle'] as const) {
    const orders = new Set(all.flatMap((d) => d[name]?.order.join('') ?? []))
    assert.is(orders.size, 24, `${name}: each order of the four`)
  }
  const channels = new Set(all.flatMap((d) => d.photometric?.channels?.join('') ?? []))
  assert.is(channels.size, 6)
  const ops = Array.from({ length: 3000 }, (_, i) =>
    drawOperations(sampleRng(1, 0, i), out, { ops: 2, magnitude: 9, bins: 31 }),
  )
  assert.ok(ops.every((two) => two.length === 2))
  for (const name of Object.keys(operations)) {
    const those = ops.flat().filter(([other]) => other === name)
    assert.ok(Math.abs(those.length / 6000 - 1 / 14) < 0.015, `${name}: ${those.length}`)
  }
  const shears = ops
    .flat()
    .filter(([name]) => name === 'ShearX')
    .map(([, x]) => Math.sign(x))
  assert.ok(Math.abs(shears.reduce((a, b) => a + b, 0)) < 90)
})

test('what is not asked for is not done, and what is added changes no crop and no mirror image', () => {
  const [plain] = drawn({ flip: 1 }, 1)
  assert.equal(plain, { flip: true })
  const few = drawn(augmentationPresets.otx, 50)
  const many = drawn({ ...augmentationPresets.otx, colorJiggle: {}, affine: {}, randAugment: {}, noise: {} }, 50)
  for (const [i, { crop, flip }] of few.entries()) assert.equal([many[i]!.crop, many[i]!.flip], [crop, flip])
  assert.equal(drawn({}, 1), [{}])
  assert.equal(
    drawn({ blur: { p: 0 }, noise: { p: 0 }, affine: { p: 0 }, colorJitter: { p: 0 }, flip: 0 }, 200).filter(
      (d) => Object.keys(d).length > 0,
    ),
    [],
  )
})

const preprocess = { ...parsePreprocessor(undefined, 'vit'), resize: { height: 16, width: 16 } } as const
const everything: Augmentations = {
  ...augmentationPresets.getitune,
  verticalFlip: 0.5,
  colorJitter: { p: 1 },
  photometric: { p: 0.9 },
  affine: {},
  blur: { p: 1 },
  noise: { p: 1 },
  randAugment: { ops: 3 },
}

test('a transform with all changes is a function of seed, epoch and image, leaves the image as it is, and survives as a recipe', () => {
  const transform = trainTransform(preprocess, everything)
  const again = transformOf(JSON.parse(JSON.stringify(transform.recipe)))
  const image = picture('smooth')
  const made = (one: typeof transform, epoch: number, index: number) => {
    const values = new Float32Array(3 * 16 * 16)
    one.apply(image, sampleRng(7, epoch, index), values)
    return values
  }
  for (let i = 0; i < 20; i++) assert.equal(made(again, 1, i), made(transform, 1, i))
  assert.not.equal(made(transform, 2, 0), made(transform, 1, 0))
  assert.equal(image.data, pictures.get('smooth'))
  // An image that has the input size already is not resized; it is not changed either.
  const exact = { width: 16, height: 16, data: pictures.get('dull')!.slice() }
  trainTransform(preprocess, { flip: 1, colorJiggle: { p: 1 } }).apply(exact, sampleRng(0, 0, 0), new Float32Array(768))
  assert.equal(exact.data, pictures.get('dull'))
})

test('pixels follow from what every engine computes alike: no sine, power or logarithm of Math', () => {
  const exact = 'floor round trunc min max sqrt abs sign fround imul PI SQRT2 SQRT1_2'.split(' ')
  const src = new URL('../src/data/', import.meta.url)
  for (const file of [...readdirSync(new URL('augment/', src)).map((name) => `augment/${name}`), 'transforms.ts']) {
    const code = readFileSync(new URL(file, src), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '')
    const used = [...code.matchAll(/Math\.(\w+)|(\w?\s*\*\*)/g)].map(([, name, power]) => name ?? power)
    assert.equal(
      used.filter((name) => !exact.includes(name!)),
      [],
      file,
    )
  }
})

test('200 images with all changes are those that they were before', () => {
  // Should this number change, runs with a seed are no longer what they were.
  let sum = 0
  for (let i = 0; i < 200; i++) {
    const image = picture(['smooth', 'rough', 'dull'][i % 3]!)
    const { data } = applyChanges(image, drawChanges(everything, image, image, sampleRng(3, 1, i)))
    for (let j = 0; j < data.length; j++) sum = (Math.imul(sum, 31) + data[j]!) | 0
  }
  assert.is(sum, 1634950506)
})

test('without a crop an image is resized as for evaluation, and then changed', () => {
  const values = (transform: ReturnType<typeof trainTransform>) => {
    const made = new Float32Array(3 * transform.height * transform.width)
    transform.apply(picture('rough'), new Rng(1), made)
    return made
  }
  for (const resize of [{ height: 16, width: 16 }, { shortest: 16 }, { shortest: 8 }] as const) {
    const given = { ...preprocess, resize, crop: { height: 12, width: 14 } }
    const plain = values(evalTransform(given))
    assert.equal(values(trainTransform(given, {})), plain)
    assert.is(trainTransform(given, {}).random, false)
    const mirrored = values(trainTransform(given, { flip: 1 }))
    for (let i = 0; i < plain.length; i++) {
      const x = i % 14
      assert.is(mirrored[i], plain[i - x + 13 - x])
    }
  }
})

test('a blur wider than an image, an image of one pixel and of one row come out at their size', () => {
  for (const [width, height] of [
    [1, 1],
    [5, 1],
    [1, 4],
    [2, 2],
  ] as const) {
    const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 83) & 255)
    for (let i = 0; i < 40; i++) {
      const size = { width, height }
      const strong = { ...everything, blur: { kernel: 9, p: 1 } }
      const made = applyChanges({ ...size, data: data.slice() }, drawChanges(strong, size, size, sampleRng(2, 0, i)))
      assert.equal([made.width, made.height, made.data.length], [width, height, data.length])
    }
  }
})

test('the functions that are the same on every engine are those of Math within 1e-14', () => {
  for (let i = 0; i < 2000; i++) {
    const x = (i - 1000) / 70
    assert.ok(Math.abs(exp(x) / Math.exp(x) - 1) < 1e-14, `exp ${x}`)
    const y = Math.exp(x)
    assert.ok(Math.abs(log(y) - x) < 1e-14 * Math.max(1, Math.abs(x)), `log ${y}`)
    const degrees = (i - 1000) * 0.77
    const [sin, cos] = sinCos(degrees)
    const radians = (degrees * Math.PI) / 180
    assert.ok(Math.abs(sin - Math.sin(radians)) < 1e-14 && Math.abs(cos - Math.cos(radians)) < 1e-14, `${degrees}`)
  }
  assert.equal(
    [sinCos(90), sinCos(-180), sinCos(0)],
    [
      [1, -0],
      [-0, -1],
      [0, 1],
    ],
  )
  // Of a table of the normal distribution.
  for (const [p, z] of [
    [0.5, 0],
    [0.975, 1.959964],
    [0.0013498980316301, -3],
    [0.9999683287581669, 4],
    [2.866516e-7, -5],
  ] as const) {
    assert.ok(Math.abs(normalQuantile(p) - z) < 1e-6, `${p}: ${normalQuantile(p)}`)
  }
})

test('noise is normal: mean 0, variance 1, as much beyond one and two sigma as there should be', () => {
  const z = normals(new Rng(4), 200_001)
  const share = (limit: number) => z.filter((x) => Math.abs(x) > limit).length / z.length
  const mean = z.reduce((a, b) => a + b, 0) / z.length
  const variance = z.reduce((a, b) => a + b * b, 0) / z.length
  assert.ok(Math.abs(mean) < 0.01 && Math.abs(variance - 1) < 0.015, `${mean} ${variance}`)
  assert.ok(Math.abs(share(1) - 0.3173) < 0.005 && Math.abs(share(2) - 0.0455) < 0.002)
})

const refusal = (text: string): string => {
  try {
    readAugment(text)
  } catch (error) {
    assert.instance(error, Error)
    assert.is((error as Error).name, 'InputError')
    return (error as Error).message
  }
  return 'was not refused'
}

test('a list of names says what is done: with usual strengths, with a number, as a whole recipe, or none', () => {
  assert.is(readAugment('none'), false)
  assert.equal(readAugment('flip, crop'), { flip: 0.5, crop: {} })
  assert.equal(readAugment('flip=0.3,crop=0.5'), { flip: 0.3, crop: { area: [0.5, 1] } })
  assert.equal(readAugment('otx'), augmentationPresets.otx)
  assert.equal(readAugment('getitune,vertical-flip'), { ...augmentationPresets.getitune, verticalFlip: 0.5 })
  assert.equal(readAugment('colorJitter=0.4,affine=20,blur=1.5,noise=0.05,randAugment=5,photometric=1'), {
    colorJitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
    affine: { degrees: 20 },
    blur: { sigma: [0.1, 1.5] },
    noise: { sigma: 0.05 },
    randAugment: { magnitude: 5 },
    photometric: { p: 1 },
  })
  assert.match(refusal('flpi'), /^--augment: flpi cannot stand here; did you mean flip\?$/)
  assert.match(refusal('color-jiter'), /did you mean colorJitter\?$/)
  assert.match(refusal('flip,none'), /^--augment: none cannot stand here; give none alone$/)
  assert.match(
    refusal('sunshine'),
    /^--augment: sunshine cannot stand here; there are crop, .*, or none$|there are crop/,
  )
  assert.match(refusal('flip=x'), /^--augment: flip must have one number after =, got "flip=x"$/)
  assert.match(refusal('flip='), /must have one number after =/)
  assert.match(refusal('flip=1=2'), /must have one number after =/)
  assert.match(refusal('flip=2'), /^--augment: flip: must be a probability, from 0 to 1, got 2$/)
  assert.match(refusal('otx=1'), /^--augment: otx cannot stand here/)
  assert.match(refusal('crop=0'), /^--augment: crop\.area: must be parts/)
  assert.match(refusal(' , '), /^--augment: must be some of crop, /)
})

test('changes are told in words', () => {
  assert.is(augmentationsInWords({}), 'no augmentation')
  assert.is(augmentationsInWords({ flip: 0 }), 'no augmentation')
  assert.is(augmentationsInWords(augmentationPresets.otx), 'random crops of 0.08 to 1 of the area and mirror images')
  assert.is(augmentationsInWords({ area: [0.5, 1] }), 'random crops of 0.5 to 1 of the area and mirror images')
  assert.match(
    augmentationsInWords({ randAugment: {}, noise: {}, flip: 0.2 }),
    /^mirror images \(0\.2\), noise and Rand/,
  )
})

test.run()
