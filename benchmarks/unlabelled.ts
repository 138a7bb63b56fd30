// What images without labels are worth: a few labelled images of each class, some of the other training images without their labels,
// and the same run without them, over seeds, measured on test images, or with --held N on N training images of each class that are held
// out. Run by hand after npm run build; docs/unlabelled.md has its table:
// node --import tsx benchmarks/unlabelled.ts [--sets digits,fashion,emoji-tree] [--methods linear,lora,full] [--seeds 0,1,2]
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { type TrainOptions, train } from 'vitune'
import { Rng } from 'vitune/tensor'
import { loadStartDatasets, type StartDataset, subset, writeImages } from './data/datasets.ts'

const { values } = parseArgs({
  options: {
    sets: { type: 'string', default: 'digits,fashion,emoji-tree' },
    methods: { type: 'string', default: 'lora,full' },
    seeds: { type: 'string', default: '0,1,2' },
    'per-class': { type: 'string', default: '4' },
    epochs: { type: 'string', default: '20' },
    ema: { type: 'string' },
    threshold: { type: 'string' },
    ratio: { type: 'string' },
    weight: { type: 'string' },
    only: { type: 'string' },
    test: { type: 'string', default: '30' },
    held: { type: 'string', default: '0' },
    pool: { type: 'string', default: '300' },
    threads: { type: 'string', default: '1' },
  },
})
const list = (text: string) => text.split(',').filter((name) => name !== '')
const number = (text: string | undefined) => (text === undefined ? undefined : Number(text))

/** Rates for so few images, as start-settings.ts has them for more. */
const rates: Readonly<Record<string, number>> = { linear: 1e-2, lora: 5e-3, dora: 5e-3, full: 5e-4 }

/** Writes the images of a set: labelled ones, those to measure on, and some of the others in one folder under numbers. */
async function write(
  whole: StartDataset,
  seed: number,
  dir: string,
): Promise<Pick<TrainOptions, 'data' | 'val' | 'unlabelled'>> {
  const [each, held] = [Number(values['per-class']), Number(values.held)]
  const drawn = subset(whole, seed, each, Number(values.test))
  const labelled = new Set(drawn.train.images)
  const { images, labels } = subset(whole, seed, each + held, 1).train
  const places = [...images.keys()].filter((i) => !labelled.has(images[i]!))
  const heldOut = { images: places.map((i) => images[i]!), labels: places.map((i) => labels[i]!) }
  const few = held > 0 ? { ...drawn, test: heldOut } : drawn
  const measured = new Set(heldOut.images)
  const unlabelled = join(dir, 'unlabelled')
  const data = await writeImages(few, dir)
  const rest = new Rng(seed, 1)
    .shuffle(whole.train.images.filter((image) => !labelled.has(image) && !measured.has(image)))
    .slice(0, Number(values.pool))
  await mkdir(unlabelled)
  for (const [i, { width, height, data: pixels }] of rest.entries()) {
    await sharp(pixels, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(join(unlabelled, `${i}.png`))
  }
  return { data: join(data, 'train'), val: join(data, 'test'), unlabelled }
}

/** Accuracy of the last epoch, and how many of the images without labels were learnt from then. */
async function measure(options: TrainOptions): Promise<{ accuracy: number; sure: number | undefined }> {
  let last: { accuracy: number; sure: number | undefined } | undefined
  for await (const event of train(options)) {
    if (event.kind === 'epoch' && event.accuracy !== undefined)
      last = { accuracy: event.accuracy, sure: event.told?.sure }
  }
  return last!
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`
const mean = (shares: readonly number[]) => shares.reduce((a, b) => a + b, 0) / shares.length
const model = fileURLToPath(new URL('vit-cifar100', import.meta.url))
const sets = (await loadStartDatasets()).filter(({ name }) => list(values.sets).includes(name))
const rows: string[] = []
for (const whole of sets) {
  for (const peft of list(values.methods)) {
    const found: Record<'without' | 'with', number[]> = { without: [], with: [] }
    const sure: number[] = []
    for (const seed of list(values.seeds).map(Number)) {
      const dir = await mkdtemp(join(tmpdir(), 'vitune-unlabelled-'))
      try {
        const { unlabelled, ...images } = await write(whole, seed, dir)
        const epochs = Number(values.epochs)
        const basics = {
          ...{
            ...images,
            model,
            peft,
            seed,
            epochs,
            lr: rates[peft],
            batchSize: 8,
            clip: 1,
            schedule: 'cosine',
            warmup: '10%',
          },
          // A mirrored digit is another digit.
          augment: { crop: { area: [0.7, 1] }, ...(whole.name === 'digits' ? {} : { flip: 0.5 }) },
          ...{ ema: number(values.ema) ?? 0.9, valEvery: epochs, device: 'wasm', threads: Number(values.threads) },
        } as TrainOptions
        const more = {
          unlabelled,
          unlabelledThreshold: number(values.threshold),
          unlabelledRatio: number(values.ratio),
          unlabelledWeight: number(values.weight),
        }
        for (const [name, options] of [
          ['without', {}],
          ['with', more],
        ] as const) {
          if (values.only !== undefined && values.only !== name) continue
          const { accuracy, sure: share } = await measure({ ...basics, ...options } as TrainOptions)
          found[name].push(accuracy)
          if (share !== undefined) sure.push(share)
          console.error(
            `${whole.name} ${peft} seed ${seed} ${name}: ${percent(accuracy)}${share === undefined ? '' : `, sure ${percent(share)}`}`,
          )
        }
      } finally {
        await rm(dir, { recursive: true })
      }
    }
    const cells = [found.without, found.with].map((all) => `${percent(mean(all))} (${all.map(percent).join(', ')})`)
    rows.push(`| ${whole.name} | ${peft} | ${cells.join(' | ')} | ${percent(mean(sure))} |`)
    console.error(rows.at(-1))
  }
}
console.log(['| set | method | without | with | sure at the end |', '|---|---|---|---|---|', ...rows].join('\n'))
