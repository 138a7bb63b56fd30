// vitune benchmark: how fast a model runs and trains here, on random images.
import { Command } from 'commander'
import { type BenchmarkOptions, type BenchmarkResult, benchmark, benchmarkSettings } from '../run/benchmark.ts'
import { only } from '../schema/setting.ts'
import { settings } from '../settings/schema.ts'
import { loraOf } from '../settings/setting-rules.ts'
import { defined, type TrainSettings } from '../settings/settings.ts'
import { downloads } from './downloads.ts'
import { bytes, count, percent, table } from './format.ts'
import { addOutput, addSettings, examples } from './options.ts'
import { bar, createUi } from './ui.ts'

interface Flags extends Omit<BenchmarkOptions, 'lora'>, Pick<TrainSettings, 'rank' | 'alpha' | 'targets'> {
  json?: boolean
  color?: boolean
}

async function run(flags: Flags): Promise<void> {
  const { json, color, rank, alpha, targets, ...options } = flags
  const ui = createUi({ colour: color ?? true })
  const result = await benchmark({
    ...options,
    lora: loraOf(defined({ rank, alpha, targets })),
    hub: { onProgress: downloads(ui) },
    onProgress: (done, total) => ui.progress(() => `measuring ${bar(done / total)} ${done}/${total}`),
  })
  ui.clear()
  const { forward, step, peakBytes, trainable, total, weightBytes, device, threads } = result
  if (json) {
    return ui.json({
      forward_ms_per_image: forward.median,
      step_ms_per_image: step.median,
      peak_bytes: peakBytes,
      trainable,
      total,
      weight_bytes: weightBytes,
      device,
      threads,
    })
  }
  ui.result(describe(result, options.model))
}

function describe(r: BenchmarkResult, model: string): string {
  const time = (name: string, t: BenchmarkResult['step']) => [
    name,
    `${t.median.toFixed(2)} ms an image`,
    `10th to 90th percentile ${t.p10.toFixed(2)} to ${t.p90.toFixed(2)}, ${(1000 / t.median).toFixed(1)} images/s`,
  ]
  return table([
    ['model', model, `${r.size.join(' x ')} px, batches of ${r.batch}, median of ${r.steps}`],
    [
      'method',
      r.method,
      `trains ${count(r.trainable)} of ${count(r.total)} parameters (${percent(r.trainable / r.total)})`,
    ],
    ['device', r.device, r.threads === 1 ? '1 thread' : `${r.threads} threads`],
    time('forward', r.forward),
    time('training step', r.step),
    ['weights', bytes(r.weightBytes), 'in memory, all the time'],
    ['peak memory', bytes(r.peakBytes), 'of tensors, in training'],
  ])
}

/** The verb. */
export function benchmarkCommand(): Command {
  const command = new Command('benchmark').description(
    'measure how fast a model runs and trains here, on random images',
  )
  addSettings(command, { ...benchmarkSettings, ...only(settings, 'rank', 'alpha', 'targets') }, ['model'])
  addOutput(command, 'print one JSON object')
  return command
    .addHelpText(
      'after',
      examples(
        'vitune benchmark --model facebook/dinov2-small --peft dora --batch 4',
        'vitune benchmark --model MODEL --peft full --checkpointing --json',
        'vitune benchmark --model MODEL --quantize int8',
      ),
    )
    .action(run)
}
