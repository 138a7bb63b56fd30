// vitune devices: which backends work here, and why the others do not.
import { Command } from 'commander'
import { createBackend, type Device, devices } from '../backend/create.ts'
import { table } from './format.ts'
import { addOutput, examples } from './options.ts'
import { createUi } from './ui.ts'

interface Found {
  name: Device
  available: boolean
  threads?: number
  relaxed_simd?: boolean
  shared_memory?: boolean
  notes?: readonly string[]
  /** Why it is not there. */
  reason?: string
}

async function probe(name: Device): Promise<Found> {
  try {
    const backend = await createBackend({ device: name })
    const { threads, relaxedSimd, shared, notes } = backend.caps
    await backend.dispose()
    return { name, available: true, threads, relaxed_simd: relaxedSimd, shared_memory: shared, notes }
  } catch (error) {
    return { name, available: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

async function run(options: { json?: boolean; color?: boolean }): Promise<void> {
  const ui = createUi({ colour: options.color ?? true })
  const found: Found[] = []
  for (const name of devices) if (name !== 'auto') found.push(await probe(name))
  const backend = await createBackend({ device: 'auto' })
  const auto = backend.name
  await backend.dispose()
  if (options.json) return ui.json({ auto, devices: found }, 2)
  const rows = found.map((d) => {
    if (!d.available) return [d.name, 'no', d.reason ?? '']
    const traits = [
      `${d.threads} ${d.threads === 1 ? 'thread' : 'threads'}`,
      ...(d.relaxed_simd ? ['relaxed SIMD'] : []),
      ...(d.shared_memory ? ['shared memory'] : []),
      ...(d.notes ?? []),
    ]
    return [d.name, 'yes', traits.join(', ')]
  })
  ui.result(table([['device', 'works', 'with'], ...rows]))
  ui.result(`\nauto chooses ${auto}`)
}

/** The verb. */
export function devicesCommand(): Command {
  const command = new Command('devices').description('show which devices can compute here')
  addOutput(command, 'print JSON')
  return command.addHelpText('after', examples('vitune devices', 'vitune devices --json')).action(run)
}
