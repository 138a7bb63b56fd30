// Picks the backend by name, or the fastest that works here, and says why.
import { platform } from '#platform'
import { InputError } from '../platform/errors.ts'
import type { Backend } from './backend.ts'
import { type Device, devices } from './devices.ts'
import { createReference } from './reference/reference.ts'
import { createWasm } from './wasm/wasm.ts'
import { lookForDevice, SOFTWARE } from './webgpu/device.ts'
import { createWebgpu } from './webgpu/webgpu.ts'

export interface BackendOptions {
  /** Default 'auto': WebGPU on a GPU, else WASM with threads, else WASM. `caps.notes` says why not a faster one. */
  device?: Device | undefined
  /** WASM threads; default one for each processor, at most 16. */
  threads?: number | undefined
}

/** One backend: its capabilities, or the reason why it is not there. */
export interface DeviceReport {
  readonly name: Exclude<Device, 'auto'>
  readonly available: boolean
  /** Whether `auto` takes it. */
  readonly chosen: boolean
  /** Why `auto` takes it, or passes it over. */
  readonly why: string
  readonly threads?: number
  readonly relaxedSimd?: boolean
  readonly wide?: boolean
  readonly shared?: boolean
  /** WASM: what multiplies codes of 8 bits. */
  readonly integer?: Backend['caps']['integer']
  /** WebGPU: vendor, architecture and description of the GPU, as far as the platform tells. */
  readonly adapter?: string
  /** Why a faster variant is not in use, one sentence each. */
  readonly notes?: readonly string[]
  /** Why it is not there. */
  readonly reason?: string
  /** WebGPU under Node: what Dawn and the drivers said when an adapter was looked for. */
  readonly words?: readonly string[]
}

/** What a list of devices needs of a backend. */
interface Startable {
  readonly adapter?: string
  readonly software?: boolean
  readonly caps: Partial<Backend['caps']>
  dispose(): Promise<void>
}

/** Milliseconds that `auto` waits for a GPU: a wedged GPU process never answers. */
const AUTO_PATIENCE = 5000

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
const reasonOf = (error: unknown) => messageOf(error).replace(/^(webgpu|wasm): /, '')

function checkThreads(threads: number | undefined): void {
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 64)) {
    throw new InputError(`threads: must be a whole number from 1 to 64, got ${threads}`)
  }
}

/** Starts a backend. Throws InputError for a device that this version or machine does not have. */
export async function createBackend(options: BackendOptions = {}): Promise<Backend> {
  const { device = 'auto', threads } = options
  if (!devices.includes(device)) throw new InputError(`device: must be one of ${devices.join(', ')}, got ${device}`)
  if (device === 'reference') return createReference()
  if (device === 'webgpu') {
    return createWebgpu().catch((error: unknown) => {
      throw new InputError(`device: ${messageOf(error)}; or use auto or wasm`)
    })
  }
  checkThreads(threads)
  const given = threads === undefined ? {} : { threads }
  if (device === 'wasm') return createWasm(given)
  try {
    return await createWebgpu({ software: false, patience: AUTO_PATIENCE, quiet: true })
  } catch (error) {
    return createWasm({ ...given, notes: [`webgpu is not used: ${reasonOf(error)}`] })
  }
}

/** WebGPU, without a start where the look tells enough: a driver in software that writes to the terminal need not do so again. */
async function startWebgpu(): Promise<Startable> {
  const look = await lookForDevice()
  if (!look?.software || look.words.length === 0) return createWebgpu({ patience: AUTO_PATIENCE })
  return { adapter: look.name, software: true, caps: {}, dispose: async () => {} }
}

/** Every backend in the order in which `auto` tries them, each started for a moment. */
export async function listDevices(options: Pick<BackendOptions, 'threads'> = {}): Promise<DeviceReport[]> {
  const { threads } = options
  checkThreads(threads)
  const starts: (() => Promise<Startable>)[] = [
    startWebgpu,
    () => createWasm(threads === undefined ? {} : { threads }),
    async () => createReference(),
  ]
  const names = ['webgpu', 'wasm', 'reference'] as const
  const reports: DeviceReport[] = []
  for (const [i, name] of names.entries()) {
    const passed = reports.map((r) => `${r.name} is not used: ${r.why}`).join('; ')
    try {
      const backend = await starts[i]!()
      const { adapter, software = false, caps } = backend
      await backend.dispose()
      const taken = reports.find(({ chosen }) => chosen)?.name
      const chosen = !taken && !software && name !== 'reference'
      const why = {
        webgpu: software ? SOFTWARE : 'a GPU is the fastest',
        wasm: taken ? `${taken} is faster` : passed,
        reference: 'plain loops, which define every kernel and are slow',
      }[name]
      reports.push({ name, available: true, chosen, why, ...(adapter === undefined ? {} : { adapter }), ...caps })
    } catch (error) {
      reports.push({ name, available: false, chosen: false, why: reasonOf(error), reason: reasonOf(error) })
    }
  }
  const words = (await platform.lookForGpu())?.words ?? []
  return reports.map((report) => (report.name === 'webgpu' && words.length > 0 ? { ...report, words } : report))
}
