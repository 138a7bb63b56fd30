// vitune estimate: the memory that training needs, by method, before anything runs.
import { Command } from 'commander'
import { type Method, methodOf, methods } from '../adapters/methods.ts'
import { type BackendOptions, createBackend } from '../backend/create.ts'
import { createPlanner } from '../backend/wasm/planner.ts'
import { checkEstimate, estimate } from '../run/estimate.ts'
import { fitsIn, memoryLimit } from '../run/fits.ts'
import { checkAdapter } from '../settings/setting-rules.ts'
import { pick } from '../settings/settings.ts'
import { openModel } from '../use/open-model.ts'
import { downloads } from './downloads.ts'
import { bytes, table } from './format.ts'
import { addDevice, addOutput, choiceOption, examples, numberOption, targetsOption } from './options.ts'
import { createUi } from './ui.ts'

interface Flags extends BackendOptions {
  model: string
  batchSize?: number
  classes?: number
  inputSize?: number
  accumulate?: number
  microBatch?: number
  optimizer?: 'adamw' | 'sgd'
  rank?: number
  targets?: string[] | string
  json?: boolean
  color?: boolean
}

async function run(flags: Flags): Promise<void> {
  const ui = createUi({ colour: flags.color ?? true })
  const { batchSize = 16, classes = 10, rank, targets } = flags
  const asked = { batchSize, classes, ...pick(flags, 'accumulate', 'microBatch', 'optimizer') }
  const lora = {
    ...(rank === undefined ? {} : { r: rank }),
    ...(targets === undefined ? {} : { targetModules: targets }),
  }
  checkEstimate({ ...asked, ...pick(flags, 'threads') })
  checkAdapter('lora', lora)
  const backend = await createBackend(flags)
  const { name: device, caps } = backend
  await backend.dispose()
  // Weights are not kept: this backend only plans.
  const { model } = await openModel(createPlanner(), flags.model, {
    inputSize: flags.inputSize,
    allowNonFinite: true,
    onProgress: downloads(ui),
  })
  ui.clear()
  const { config } = model
  const found: (Awaited<ReturnType<typeof estimate>> & { method: Method; checkpointing: boolean; fits: boolean })[] = []
  for (const method of methods) {
    for (const checkpointing of [false, true]) {
      const adapted = methodOf(method).adapter ? { lora } : {}
      const machine = { device, threads: caps.threads }
      const need = await estimate({ ...asked, ...adapted, ...machine, config, method, checkpointing })
      found.push({ method, checkpointing, fits: fitsIn(need, device, caps), ...need })
    }
  }
  const limit = memoryLimit(caps)
  const [height, width] = config.imageSize
  if (flags.json) {
    const estimates = found.map(({ largestBuffer, ...rest }) => ({ ...rest, largest_buffer: largestBuffer }))
    return ui.json({ device, limit_bytes: Number.isFinite(limit) ? limit : null, batch_size: batchSize, estimates })
  }
  const rows = found.map((e) => [
    e.checkpointing ? `${e.method}, checkpointing` : e.method,
    ...[e.weights, e.gradients, e.optimizer, e.activations + e.workspace, e.total].map(bytes),
    e.fits ? 'yes' : 'no',
  ])
  const header = ['method', 'weights', 'gradients', 'optimizer', 'activations', 'in all', 'fits']
  ui.result(table([header, ...rows], [1, 2, 3, 4, 5]))
  const most = Number.isFinite(limit) ? `${bytes(limit)} on ${device}` : device
  ui.result(`\nbatches of ${batchSize} at ${width} x ${height} px; fits: into ${most}`)
}

/** The verb. */
export function estimateCommand(): Command {
  const command = new Command('estimate')
    .description('say how much memory training needs by each method, and whether it fits, without training')
    .requiredOption('--model <dir|name>', 'a model folder, or a name on the hub')
    .addOption(numberOption('--batch-size <n>', 'images a batch (default: 16)'))
    .addOption(numberOption('--classes <n>', 'classes to tell apart (default: 10)'))
    .addOption(numberOption('--input-size <px>', "side of the input (default: the model's own)"))
    .addOption(numberOption('--accumulate <n>', 'batches whose gradients make one step (default: 1)'))
    .addOption(numberOption('--micro-batch <n>', 'most images computed at a time (default: by device and input size)'))
    .addOption(choiceOption('--optimizer <name>', 'update rule', ['adamw', 'sgd'], 'adamw'))
    .addOption(numberOption('--rank <r>', 'rank of LoRA and DoRA (default: 8)'))
    .addOption(targetsOption())
  addDevice(command)
  addOutput(command, 'print one JSON object')
  return command
    .addHelpText(
      'after',
      examples(
        'vitune estimate --model facebook/dinov2-small',
        'vitune estimate --model MODEL --batch-size 32 --input-size 448 --json',
      ),
    )
    .action(run)
}
