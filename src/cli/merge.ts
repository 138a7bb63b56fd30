// vitune merge: a plain model folder from a base model and its adapter.
import { Command } from 'commander'
import { largestDifference, merge } from '../adapters/merge.ts'
import { methodOf } from '../adapters/methods.ts'
import { outputSize } from '../data/preprocess.ts'
import { checkNewFolder, makeNewFolder } from '../io/new-folder.ts'
import { unpackModel } from '../models/packing.ts'
import { quantizeModel, saveModel } from '../models/registry.ts'
import { Context } from '../nn/context.ts'
import { InputError, NotFiniteError } from '../platform/errors.ts'
import { packingOf } from '../settings/quantize.ts'
import { labelFields } from '../tasks/label-fields.ts'
import { Rng } from '../tensor/philox.ts'
import { tensor } from '../tensor/tensor.ts'
import { preprocessorJson } from '../use/model-images.ts'
import type { OpenModel } from '../use/open-model.ts'
import { packingIn, readRun } from '../use/run-file.ts'
import { bytes, percent, plural, quoted } from './format.ts'
import { addModel, addQuantize, checkModel, type ModelFlags, withModel } from './open.ts'
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

/** Throws InputError where what is asked for would be rounded and then saved as f32 all the same. */
function checkSaved({ quantize }: Flags, { dialect, source }: OpenModel): void {
  if (quantize === undefined || quantize === 'none') return
  const why =
    quantize === 'int8-block'
      ? 'int8-block has no form in files'
      : dialect === 'timm'
        ? `${source} has timm's names, under which weights are saved as f32`
        : undefined
  if (why)
    throw new InputError(`--quantize: ${why}; leave it out, or take nf4 or int8 of a model in Hugging Face's names`)
}

async function run(flags: Flags): Promise<void> {
  const ui = createUi({ colour: flags.color ?? true })
  const { out } = flags
  checkModel(flags)
  await checkPlaces(flags)
  // Weights are packed here, as they were read when the adapter was trained, so that it can be said how far that is from what they were.
  const whole = { ...flags, quantize: 'none' } as const
  const { layers, difference, trained, packed, saved } = await withModel(whole, ui, async ({ opened, task, run }) => {
    const { model, preprocess } = opened
    checkSaved(flags, opened)
    const own = packingOf(packingIn(run ?? {}), opened.lora?.modulesToSave)
    const trained = own && (await quantizeModel(model, own, opened.checkpoint))
    // A run knows its classes even where the adapter's own files do not.
    model.config.classes = [...task.classes]
    const { height, width } = outputSize(preprocess)
    const rng = new Rng(0)
    const values = Float32Array.from({ length: samples * 3 * height * width }, () => rng.uniform() * 4 - 2)
    const images = tensor(model.backend, values, [samples, 3, height, width])
    const before = model.forward(images, new Context())
    const merged = merge(model)
    merged.seal()
    unpackModel(model)
    const again = packingOf(flags)
    const packed = again && (await quantizeModel(model, again))
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
    let saved: string[] = []
    await makeNewFolder(out, '--out', async (folder) => {
      saved = await saveModel(model, folder, opened.dialect, extra)
    })
    return { layers: merged.layers, difference, trained, packed, saved }
  })
  if (flags.json) {
    const errors = { trained_over: trained?.relative, packed_error: packed?.relative, packed_bytes: packed?.bytes[1] }
    for (const note of saved) ui.note(note)
    return ui.json({ out, layers, largest_difference: difference, ...errors })
  }
  ui.result(`merged ${plural(layers, 'layer')} into a plain model in ${out}`)
  if (trained) {
    ui.result(
      `it was trained over packed weights, ${percent(trained.relative)} off the model's own (root mean square); the merged ones are those it was trained over`,
    )
  }
  if (packed) {
    const [before, after] = packed.bytes
    ui.result(
      `packed again as ${flags.quantize}: ${percent(packed.relative)} off, ${bytes(after)} instead of ${bytes(before)}`,
    )
  }
  for (const note of saved) ui.result(note)
  ui.result(`largest output difference on random images: ${difference.toPrecision(2)}`)
  ui.note(`\nNext:\n  vitune predict --model ${quoted(out)} IMAGE...`)
}

/** The verb. */
export function mergeCommand(): Command {
  const command = new Command('merge').description('merge an adapter into its model, as a plain model folder')
  addModel(command).requiredOption('--out <dir>', 'the new model folder')
  addQuantize(command, "pack the merged model's weights in 4 or 8 bits (default: f32)")
  addDevice(command)
  addOutput(command, 'print {"out", "layers", "largest_difference"}, and what packing cost')
  return command
    .addHelpText(
      'after',
      examples(
        'vitune merge --run RUN --out MERGED',
        'vitune merge --model MODEL --adapter ADAPTER --out MERGED',
        'vitune merge --run RUN --quantize nf4 --out MERGED',
      ),
    )
    .action(run)
}
