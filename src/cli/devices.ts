// vitune devices: which backends work here and which one is taken, and why the others are not.
import { Command } from 'commander'
import { type DeviceReport, listDevices } from '../backend/create.ts'
import { oneLine, table } from './format.ts'
import { addOutput, examples } from './options.ts'
import { createUi } from './ui.ts'

/** How products of 8-bit codes are computed. */
const INTEGERS = {
  dot: '8-bit products four at a time',
  dot16: '8-bit products two at a time',
  f32: '8-bit products as f32',
}

function traits(d: DeviceReport): string {
  if (!d.available) return d.reason ?? ''
  return [
    ...(d.adapter ? [d.adapter] : []),
    ...(d.name === 'wasm' ? [`${d.threads} ${d.threads === 1 ? 'thread' : 'threads'}`] : []),
    ...(d.relaxedSimd ? ['relaxed SIMD'] : []),
    ...(d.wide ? ['256-bit vectors'] : []),
    ...(d.shared ? ['shared memory'] : []),
    ...(d.integer ? [INTEGERS[d.integer]] : []),
    ...(d.notes ?? []),
  ].join(', ')
}

async function run(options: { json?: boolean; color?: boolean; verbose?: boolean }): Promise<void> {
  const ui = createUi({ colour: options.color ?? true })
  const devices = await listDevices()
  const taken = devices.find(({ chosen }) => chosen)
  if (options.json) {
    const found = devices.map(({ relaxedSimd, shared, words, ...rest }) => ({
      ...rest,
      ...(options.verbose && words ? { words } : {}),
      ...(rest.available ? { relaxed_simd: relaxedSimd, shared_memory: shared } : {}),
    }))
    return ui.json({ auto: taken?.name ?? null, devices: found }, 2)
  }
  const rows = devices.map((d) => [d.name, d.available ? 'yes' : 'no', traits(d)])
  ui.result(table([['device', 'works', 'with'], ...rows]))
  ui.result(`\n${taken ? `auto takes ${taken.name}: ${taken.why}` : 'auto finds no device here'}`)
  if (!options.verbose) return
  const words = devices.flatMap((d) => d.words ?? []).map(oneLine)
  ui.result(
    words.length > 0 ? `\nsaid by Dawn and the drivers:\n${words.join('\n')}` : '\nDawn and the drivers said nothing',
  )
}

/** The verb. */
export function devicesCommand(): Command {
  const command = new Command('devices')
    .description('show which devices can compute here, and which one is taken')
    .option('--verbose', 'also what the drivers said when a GPU was looked for')
  addOutput(command, 'print JSON')
  return command
    .addHelpText('after', examples('vitune devices', 'vitune devices --json', 'vitune train --device wasm ...'))
    .action(run)
}
