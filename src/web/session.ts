// A session: everything that takes time runs in a worker, which also owns the files; the page sends messages and is
// never blocked. The worker starts from text inside this bundle, so no bundler needs to know of it.
import { workerText } from 'web:worker'
import { platform } from '#platform'
import type { Device } from '../backend/create.ts'
import { compiled } from '../backend/wasm/variants.ts'
import { InputError } from '../platform/errors.ts'
import type { Host } from './host.ts'
import { connect } from './rpc.ts'
import type { DeviceReport, StoredDataset, StoredModel } from './types.ts'

export interface SessionOptions {
  /** Default 'auto'. */
  device?: Device
  /** WASM threads; default one for each processor, at most 16, where the page is cross-origin isolated. */
  threads?: number
}

export interface Session {
  /** Which backend runs, with its capabilities. */
  readonly device: DeviceReport
  /** Every backend with its capabilities, or the reason it is not there. */
  devices(): Promise<DeviceReport[]>
  datasets(): Promise<StoredDataset[]>
  removeDataset(name: string): Promise<void>
  models(): Promise<StoredModel[]>
  removeModel(name: string): Promise<void>
  /** Ends the worker; open calls reject. */
  close(): Promise<void>
}

/**
 * Starts a worker that holds backend, models and runs. In a browser only: throws an InputError in Node, where `train`
 * and the rest are called directly, and where the device asked for is not there.
 */
export async function openSession(options: SessionOptions = {}): Promise<Session> {
  if (platform.name !== 'browser') {
    throw new InputError('session: needs a browser; in Node call train, openRun and predict directly')
  }
  // The worker's text lacks the kernels, which this bundle has: they are handed over as text before it.
  const { call, stop } = connect<Host>(
    platform.startWorker(`const VITUNE_WASM=${JSON.stringify(compiled)};${workerText}`),
  )
  const device = await call('open', options).catch(async (error) => {
    await stop()
    throw error
  })
  if (!device.available) {
    await stop()
    throw new InputError(device.reason ?? 'device: is not there')
  }
  return {
    device,
    devices: () => call('devices', undefined),
    datasets: () => call('datasets', undefined),
    removeDataset: (name) => call('removeDataset', name),
    models: () => call('models', undefined),
    removeModel: (name) => call('removeModel', name),
    close: stop,
  }
}
