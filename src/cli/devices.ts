// vitune devices: which backends work here and which one is taken, and why the others are not.
import { Command } from 'commander'
import { type DeviceReport, listDevices } from '../backend/create.ts'
import { table } from './format.ts'
import { addOutput, examples } from './options.ts'
import { createUi } from './ui.ts'

function traits(d: DeviceReport): string {
  if (!d.available) return d.reason ?? ''
  return [
    ...(d.adapter ? [d.adapter] : []),
    ...(d.name === 'wasm' ? [`${d.threads} ${d.threads === 1 ? 'thread' : 'threads'}`] : []),
    ...(d.relaxedSimd ? ['relaxed SIMD'] : []),
    ...(d.shared ? ['shared memory'] : []),
    ...(d.notes ?? []),
  ].join(', ')
}

async function run(options: { json?: boolean; color?: boolean }): Promise<void> {
  const ui = createUi({ colour: options.color ?? true })
  const devices = await listDevices()
  const taken = devices.find(({ chosen }) => chosen)
  if (options.json) {
    const found = devices.map(({ relaxedSimd, shared, ...rest }) => ({
      ...rest,
      ...(rest.available ? { relaxed_simd: relaxedSimd, shared_memory: shared } : {}),
    }))
    return ui.json({ auto: taken?.name ?? null, devices: found }, 2)
  }
  const rows = devices.map((d) => [d.name, d.available ? 'yes' : 'no', traits(d)])
  ui.result(table([['device', 'works', 'with'], ...rows]))
  ui.result(`\n${taken ? `auto takes ${taken.name}: ${taken.why}` : 'auto finds no device here'}`)
}

/** The verb. */
export function devicesCommand(): Command {
  const command = new Command('devices').description('show which devices can compute here, and which one is taken')
  addOutput(command, 'print JSON')
  return command
    .addHelpText('after', examples('vitune devices', 'vitune devices --json', 'vitune train --device wasm ...'))
    .action(run)
}
