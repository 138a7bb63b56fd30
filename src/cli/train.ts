// vitune train: fine-tuning from the command line. The work is done by train(); this shows it and stops it cleanly.
import { Command, Option } from 'commander'
import { methodOf } from '../adapters/methods.ts'
import { localFiles } from '../io/local-files.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import { terminal } from '../platform/terminal-node.ts'
import { type DoneEvent, type SkipEvent, type StartEvent, type TrainOptions, train } from '../run/train.ts'
import { asRecipesSay } from '../settings/recipe.ts'
import { settings } from '../settings/schema.ts'
import { tasks } from '../tasks/registry.ts'
import { configText, readConfig } from './config-file.ts'
import { carrier } from './dotted.ts'
import { downloads } from './downloads.ts'
import { bytes, count, duration, oneLine, percent, plural, quoted, table } from './format.ts'
import { addOutput, addSettings, examples, typed } from './options.ts'
import { trainProgress } from './train-progress.ts'
import { createUi, type Ui } from './ui.ts'

type Runnable = TrainOptions & { out: string }
type Typed = Partial<TrainOptions> & { config?: string; printConfig?: boolean; set?: string[] }

function check(options: Partial<TrainOptions>): asserts options is Runnable {
  if (options.out === undefined) throw new InputError('--out: is needed, the folder that keeps the run')
  if (options.resume) return
  if (options.data === undefined)
    throw new InputError('--data: is needed, a folder with a folder of images for each class, or a file of labels')
  if (options.model === undefined && options.from === undefined)
    throw new InputError('--model: is needed, a model folder or a name like facebook/dinov2-small')
}

/** 128 and the signal's number, as a shell has it. */
const stopCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/** The first stop signal ends training after the step that runs; the second, or one before training, ends at once. */
function listen(ui: Ui, training: () => boolean): { signal: AbortSignal; code(): number; end(): void } {
  const controller = new AbortController()
  let code = 0
  let signals = 0
  const stop = (newCode: number, say?: string) => {
    if (say) ui.note(say)
    if (!training()) return terminal.exitNow(newCode)
    code ||= newCode
    controller.abort()
  }
  const end = terminal.onStop((signal) => {
    if (signals++ > 0) return terminal.exitNow(stopCodes[signal])
    stop(stopCodes[signal], training() ? 'stopping after this step; press Ctrl-C again to end at once' : undefined)
  })
  // That is no second signal: Ctrl-C also ends what reads our output, and a terminal that is closed takes no more.
  terminal.onClosed((newCode, why) => stop(newCode, why && `vitune: ${why}`))
  return { signal: controller.signal, code: () => code, end }
}

async function run(_: unknown, command: Command): Promise<void> {
  const { json = false, color = true } = command.opts<{ json?: boolean; color?: boolean }>()
  const ui = createUi({ colour: color })
  const { config, printConfig, set, ...flags } = typed(command) as Typed
  const read = await readConfig(config, set, flags.peft)
  const options = { ...read.settings, ...flags }
  if (printConfig) {
    for (const note of read.notes) ui.note(oneLine(note))
    return ui.result(configText(options))
  }
  check(options)
  if (read.missing && flags.model === undefined) throw new InputError(read.missing)
  // Nobody asks what stands for a model that is not taken.
  const idle = (note: string) => flags.model !== undefined && note.includes(`${read.settings.model}: `)
  for (const note of read.notes) if (!idle(note)) ui.note(oneLine(note))
  let start: StartEvent | undefined
  let done: DoneEvent | undefined
  let testing = false
  const skipped: SkipEvent[] = []
  const stop = listen(ui, () => (testing || start !== undefined) && done === undefined)
  const progress = trainProgress(ui)
  try {
    for await (const event of train({ ...options, signal: stop.signal, hub: { onProgress: downloads(ui) } })) {
      if (json) ui.json(event)
      if (event.kind === 'check') progress.check(event)
      else if (event.kind === 'rates') {
        testing = true
        progress.rates(event)
      } else if (event.kind === 'start') {
        ui.clear()
        start = event
        progress.start(event)
      } else if (event.kind === 'step') progress.step(event)
      else if (event.kind === 'epoch') progress.epoch(event)
      else if (event.kind === 'skip') {
        skipped.push(event)
        progress.skip(event)
      } else if (event.kind === 'duplicates') progress.duplicates(event)
      else if (event.kind === 'restart') {
        ui.note(`${oneLine(event.reason)}: going on with ${event.device} from the checkpoint of step ${event.step}`)
      } else done = event
    }
  } finally {
    ui.clear()
    stop.end()
  }
  if (skipped.length > 0) ui.note(skippedText(skipped))
  if (!start || !done) return
  if (done.ended === 'signal') {
    ui.note(
      `stopped after step ${done.step}, all saved; continue with: vitune train --resume --out ${quoted(options.out)}`,
    )
    return terminal.exitWith(stop.code())
  }
  if (!json) ui.result(await summary(start, done, options.out, ui))
}

function skippedText(skipped: readonly SkipEvent[]): string {
  const most = 10
  const names = listed(
    skipped.map((e) => oneLine(e.file)),
    most,
  )
  const rest = skipped.length > most ? ' (all in run.json)' : ''
  return `skipped ${plural(skipped.length, 'image')} that could not be read: ${names}${rest}`
}

/** From which scores on labels are there, and that they were not yet while the best epoch was measured. */
function thresholdsText(thresholds: readonly number[]): string {
  const [least, most] = [Math.min(...thresholds), Math.max(...thresholds)].map((value) => value.toFixed(2))
  return least === most ? `${least} for each label` : `${least} to ${most}, tuned by label; epochs are measured at 0.5`
}

/** What was reached, what it cost, what was written, what to do next. */
async function summary(start: StartEvent, done: DoneEvent, out: string, ui: Ui): Promise<string> {
  const files = (await localFiles(out).list(out)).filter((name) => !name.startsWith('.'))
  const adapter = methodOf(start.method).saves === 'adapter'
  const stopped =
    done.ended === 'patience' ? `, ended early after ${plural(done.epochs, 'epoch')}` : ` of ${done.epochs}`
  const { monitor, metrics, thresholds } = done
  const reached = metrics?.[monitor]
  const shown = reached === undefined ? 'not measured' : monitor === 'loss' ? reached.toFixed(4) : percent(reached)
  const best = reached === undefined ? shown : ui.out('bold', shown)
  // The task's own metric where another chose, and accuracy where that did.
  const [own] = Object.keys(tasks[start.task].monitors)
  const beside = [own!, 'accuracy'].find((name) => name !== monitor && metrics?.[name] !== undefined)
  const rows = [
    ['method', `${start.method} on ${oneLine(start.model)}`],
    [`best ${monitor}`, `${best}${reached === undefined ? '' : ` in epoch ${done.bestEpoch}${stopped}`}`],
    ...(beside === undefined ? [] : [[`${beside} then`, percent(metrics![beside]!)]]),
    ...(thresholds ? [['thresholds', thresholdsText(thresholds)]] : []),
    [
      'trained',
      `${count(done.trainable)} of ${count(done.total)} parameters (${percent(done.trainable / done.total)})`,
    ],
    ['peak memory', `${bytes(done.peakBytes)} of tensors`],
    ['time', duration(done.seconds)],
    ['skipped', plural(done.skipped, 'image')],
    ['files', `${oneLine(out)}: ${files.join(', ')}`],
  ]
  const place = quoted(out)
  const next = [
    `vitune test --run ${place}`,
    `vitune predict --run ${place} IMAGE...`,
    `vitune report ${place}`,
    ...(adapter ? [`vitune merge --run ${place} --out MERGED`] : []),
  ]
  return `${table(rows.filter(([name]) => name !== 'skipped' || done.skipped > 0))}\n\nNext:\n${next.map((line) => `  ${line}`).join('\n')}`
}

/** The verb. */
export function trainCommand(): Command {
  const command = new Command('train').description('fine-tune a model on labelled images')
  addSettings(command, asRecipesSay(settings))
  command
    .optionsGroup('Input and output:')
    .option('--config <file>', 'settings by their names, as YAML; flags win (- reads them from the standard input)')
    .option('--print-config', 'print all settings with their defaults as YAML, for --config, and end')
    .option('--resume', 'continue the run in --out from its last checkpoint')
    .option('--accept-changes', 'resume although images, model or preprocessor changed; run.json keeps what')
  command.addOption(
    new Option(`${carrier} <key=value>`).argParser((one: string, all: string[] = []) => [...all, one]).hideHelp(),
  )
  addOutput(command, 'print each event as one line of JSON')
  return command
    .addHelpText(
      'after',
      examples(
        'vitune train --data IMAGES --model facebook/dinov2-small --out RUN',
        'vitune train --data IMAGES --model MODEL --peft dora --rank 16 --epochs 10 --out RUN',
        "vitune train --data IMAGES --model MODEL --targets '.*attention.*' --schedule cosine --warmup 20 --out RUN",
        'vitune train --data IMAGES --model MODEL --print-config > settings.yaml',
        'vitune train --config settings.yaml --out RUN',
        'vitune train --config dino_v2.yaml --model.peft dora --data IMAGES --model MODEL --out RUN',
        'vitune train --data IMAGES --model MODEL --lora.alpha 16 --augment.flip 0.2 --out RUN',
        'vitune train --resume --out RUN',
        'vitune train --resume --out RUN --epochs 40',
        'vitune train --resume --out RUN --accept-changes',
        'vitune train --data IMAGES --model MODEL --device webgpu --on-device-lost fallback --out RUN',
      ),
    )
    .action(run)
}
