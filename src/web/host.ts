// The session's side in the worker: one handler a call, over the files of the browser and the library as it is in Node.
import { createBackend, type Device, devices } from '../backend/create.ts'
import { localFiles } from '../io/local-files.ts'
import type { CallContext } from './rpc.ts'
import { listDatasets, listModels, removeStored } from './store.ts'
import type { DeviceReport } from './types.ts'

export interface HostOptions {
  device?: Device
  threads?: number
}

async function report(name: Device, threads: number | undefined): Promise<DeviceReport> {
  try {
    const backend = await createBackend({ device: name, threads })
    const { caps } = backend
    await backend.dispose()
    return { name: backend.name, available: true, ...caps }
  } catch (error) {
    return { name, available: false, reason: error instanceof Error ? error.message : String(error) }
  }
}

/** The handlers of one session. */
export function createHost() {
  const files = localFiles('session')
  let options: HostOptions = {}
  return {
    async open(given: HostOptions): Promise<DeviceReport> {
      options = given
      return report(given.device ?? 'auto', given.threads)
    },
    devices: async (): Promise<DeviceReport[]> => {
      const reports: DeviceReport[] = []
      for (const name of devices) if (name !== 'auto') reports.push(await report(name, options.threads))
      return reports
    },
    datasets: () => listDatasets(files),
    removeDataset: (name: string, _context: CallContext) => removeStored(files, 'images', name),
    models: () => listModels(files),
    removeModel: (name: string, _context: CallContext) => removeStored(files, 'models', name),
  }
}
export type Host = ReturnType<typeof createHost>
