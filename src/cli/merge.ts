// vitune merge: a plain model folder from a base model and its adapter.
import { Command } from 'commander'
import { largestDifference, merge } from '../adapters/merge.ts'
import { methodOf } from '../adapters/methods.ts'
import { outputSize } from '../data/preprocess.ts'
import { checkNewFolder, makeNewFolder } from '../io/new-folder.ts'
import { saveModel } from '../models/registry.ts'
import { Context } from '../nn/context.ts'
import { InputError, NotFiniteError } from '../platform/errors.ts'
import { labelFields } from '../tasks/label-fields.ts'
import { Rng } from '../tensor/philox.ts'
import { tensor } from '../tensor/tensor.ts'
import { preprocessorJson } from '../use/model-images.ts'
import { readRun } from '../use/run-file.ts'
import { plural, quoted } from './format.ts'
import { addModel, checkModel, type ModelFlags, withModel } from './open.ts'
import { addDevice, addOutput, examples } from './options.ts'
import { createUi } from './ui.ts'

interface Flags extends ModelFlags {
  out: string
  json?: boolean
  color?: boolean
}

/** Random images that the difference is measured on. */
const samples = 4

async function checkPlaces({ run, adapter, out }: Flags): Promise<void> {
  if (run !== undefined) {
    const { method } = await readRun(run)
    if (methodOf(method).saves !== 'adapter') {
      throw new InputError(
        `${run}: has no adapter to merge, its method is ${method}; the folder is a plain model already`,
      )
    }
  } else if (adapter === undefined) throw new InputError('--model: needs --adapter DIR, the adapter to merge into it')
  await checkNewFolder(out, '--out')
}

async function run(flags: Flags): Promise<void> {
  const ui = createUi({ colour: flags.color ?? true })
  const { out } = flags
  checkModel(flags)
  await checkPlaces(flags)
  const { layers, difference } = await withModel(flags, ui, async ({ opened, task }) => {
    const { model, preprocess } = opened
    // A run knows its classes even where the adapter's own files do not.
    model.config.classes = [...task.classes]
    const { height, width } = outputSize(preprocess)
    const rng = new Rng(0)
    const values = Float32Array.from({ length: samples * 3 * height * width }, () => rng.uniform() * 4 - 2)
    const images = tensor(model.backend, values, [samples, 3, height, width])
    const before = model.forward(images, new Context())
    const merged = merge(model)
    merged.seal()
    const after = model.forward(images, new Context())
    const difference = await largestDifference(before, after)
    for (const t of [images, before, after]) t.dispose()
    if (!Number.isFinite(difference)) {
      throw new NotFiniteError(
        `merge: outputs must be finite, got others before or after; take another model or adapter`,
      )
    }
    const extra = {
      preprocessor: preprocessorJson(opened),
      config: { ...opened.checkpoint.config },
      labels: labelFields(opened.labels!),
    }
    await makeNewFolder(out, '--out', (folder) => saveModel(model, folder, opened.dialect, extra))
    return { layers: merged.layers, difference }
  })
  if (flags.json) return ui.json({ out, layers, largest_difference: difference })
  ui.result(`merged ${plural(layers, 'layer')} into a plain model in ${out}`)
  ui.result(`largest output difference on random images: ${difference.toPrecision(2)}`)
  ui.note(`\nNext:\n  vitune predict --model ${quoted(out)} IMAGE...`)
}

/** The verb. */
export function mergeCommand(): Command {
  const command = new Command('merge').description('merge an adapter into its model, as a plain model folder')
  addModel(command).requiredOption('--out <dir>', 'the new model folder')
  addDevice(command)
  addOutput(command, 'print {"out", "layers", "largest_difference"}')
  return command
    .addHelpText(
      'after',
      examples('vitune merge --run RUN --out MERGED', 'vitune merge --model MODEL --adapter ADAPTER --out MERGED'),
    )
    .action(run)
}
