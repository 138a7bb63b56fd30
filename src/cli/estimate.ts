// vitune estimate: the memory that training needs, by method, before anything runs.
import { Command } from 'commander'
import { type Method, methodOf, methods } from '../adapters/methods.ts'
import { createBackend } from '../backend/create.ts'
import { createPlanner } from '../backend/wasm/planner.ts'
import { checkEstimate, estimate } from '../run/estimate.ts'
import { fitsIn, memoryLimit } from '../run/fits.ts'
import { whole } from '../schema/rules.ts'
import { only, type Setting } from '../schema/setting.ts'
import { defaults, settings } from '../settings/schema.ts'
import { checkAdapter, loraOf } from '../settings/setting-rules.ts'
import { defined, pick, type TrainSettings } from '../settings/settings.ts'
import { openModel } from '../use/open-model.ts'
import { downloads } from './downloads.ts'
import { bytes, table } from './format.ts'
import { addOutput, addSettings, examples } from './options.ts'
import { createUi } from './ui.ts'

const flags = only(
  settings,
  ...(['model', 'batchSize', 'accumulate', 'microBatch', 'optimizer', 'rank', 'targets', 'inputSize'] as const),
  ...(['quantize', 'doubleQuant', 'device', 'threads'] as const),
)
const classes = {
  value: whole(1, 100_000),
  default: 10,
  group: 'Task',
  flag: '--classes <n>',
  description: 'classes to tell apart',
} satisfies Setting<number>

interface Flags extends Pick<TrainSettings, keyof typeof flags> {
  classes?: number
  json?: boolean
  color?: boolean
}

async function run(given: Flags): Promise<void> {
  const ui = createUi({ colour: given.color ?? true })
  const { batchSize = defaults.batchSize, rank, targets } = given
  const asked = {
    batchSize,
    classes: given.classes ?? classes.default,
    ...pick(given, 'accumulate', 'microBatch', 'optimizer', 'doubleQuant'),
  }
  const lora = loraOf(defined({ rank, targets }))
  checkEstimate({ ...asked, ...pick(given, 'threads') })
  checkAdapter('lora', lora)
  const backend = await createBackend(given)
  const { name: device, caps } = backend
  await backend.dispose()
  // Weights are not kept: this backend only plans.
  const { model } = await openModel(createPlanner(), given.model, {
    inputSize: given.inputSize,
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
      const packed = methodOf(method).trains === 'all' ? {} : pick(given, 'quantize')
      const need = await estimate({ ...asked, ...packed, ...adapted, ...machine, config, method, checkpointing })
      found.push({ method, checkpointing, fits: fitsIn(need, device, caps), ...need })
    }
  }
  const limit = memoryLimit(caps)
  const [height, width] = config.imageSize
  if (given.json) {
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
  const command = new Command('estimate').description(
    'say how much memory training needs by each method, and whether it fits, without training',
  )
  addSettings(command, { ...flags, classes }, ['model'])
  addOutput(command, 'print one JSON object')
  return command
    .addHelpText(
      'after',
      examples(
        'vitune estimate --model facebook/dinov2-small',
        'vitune estimate --model MODEL --batch-size 32 --input-size 448 --json',
        'vitune estimate --model MODEL --quantize nf4',
      ),
    )
    .action(run)
}
