// The session's side in the worker: one handler a call, over the files of the browser and the library as it is in Node.
import { createBackend, type DeviceReport, listDevices } from '../backend/create.ts'
import type { Device } from '../backend/devices.ts'
import { localFiles } from '../io/local-files.ts'
import { imageNotes, lackingForImages } from '../platform/browser-images.ts'
import { InputError } from '../platform/errors.ts'
import { defined, type OnDeviceLost } from '../settings/settings.ts'
import type { Thresholds } from '../use/decide.ts'
import {
  describeDataset,
  listDatasets,
  listImages,
  readClass,
  readImages,
  removeClass,
  removeImages,
  renameClass,
  setLabels,
} from './datasets.ts'
import { addImages, type SentExample, type SentImage } from './images.ts'
import type { ImageLabelNames } from './label-list.ts'
import { addModel, listModels, sweepModels } from './models.ts'
import type { CallContext } from './rpc.ts'
import {
  listRuns,
  type ResumeOptions,
  type RunStream,
  removeRun,
  resumeRun,
  runFiles,
  runHistory,
  type SessionTrainOptions,
  startRun,
} from './runs.ts'
import { inMemory, removeStored } from './store.ts'
import { createTryout, type Target } from './tryout.ts'

/** What the page is told of a session that has started. */
export interface Started {
  readonly device: DeviceReport
  readonly storage: 'browser' | 'memory'
  readonly notes: readonly string[]
}

export interface HostOptions {
  device?: Device | undefined
  threads?: number | undefined
  onDeviceLost?: OnDeviceLost | undefined
}

/** What starts a device and says what it is. */
async function deviceOf(options: ReturnType<typeof defined<HostOptions>>): Promise<DeviceReport> {
  // Only what was asked for is started: looking at every device takes a second.
  const backend = await createBackend(options)
  const { name, caps } = backend
  await backend.dispose()
  if (options.device && options.device !== 'auto') {
    return { name, available: true, chosen: false, why: 'it was asked for', ...caps }
  }
  const passed = caps.notes.filter((note) => /is not used/.test(note))
  return { name, available: true, chosen: true, why: passed.join('; ') || 'a GPU is the fastest', ...caps }
}

/** The handlers of one session. `memory` is why its files are in memory, undefined where the browser keeps them. */
export function createHost(memory: string | undefined) {
  const files = localFiles('session')
  let options: ReturnType<typeof defined<HostOptions>> = {}
  const tryout = createTryout(files, () => options)
  const streams = new Map<number, RunStream>()
  let count = 0
  const keep = (stream: RunStream): number => {
    streams.set(++count, stream)
    return count
  }
  const streamAt = (id: number): RunStream => {
    const stream = streams.get(id)
    if (!stream) throw new InputError('run: this training has ended')
    return stream
  }

  return {
    async start(chosen: HostOptions, { progress }: CallContext): Promise<Started> {
      options = defined(chosen)
      const lacking = lackingForImages()
      if (lacking) throw new InputError(`session: ${lacking}; use a newer one`)
      await sweepModels(files)
      progress('looking for a device')
      const device = await deviceOf(options)
      const kept = memory === undefined ? [] : [inMemory(memory)]
      return { device, storage: memory === undefined ? 'browser' : 'memory', notes: [...kept, ...imageNotes()] }
    },
    async setDevice(device: Device, _context: CallContext): Promise<DeviceReport> {
      const report = await deviceOf({ ...options, device })
      options = { ...options, device }
      await tryout.close()
      return report
    },
    devices: () => listDevices({ threads: options.threads }),

    datasets: () => listDatasets(files),
    dataset: (name: string, _context: CallContext) => describeDataset(files, name),
    addImages: (input: { dataset: string; examples: readonly SentExample[] }, _context: CallContext) =>
      addImages(files, input),
    removeDataset: (name: string, _context: CallContext) => removeStored(files, 'images', name),

    images: (input: { dataset: string; class: string; count: number }, _context: CallContext) =>
      readClass(files, input),
    listImages: (name: string, _context: CallContext) => listImages(files, name),
    imageFiles: (input: { dataset: string; images: readonly string[] }, _context: CallContext) =>
      readImages(files, input),
    removeImages: (input: { dataset: string; images: readonly string[] }, _context: CallContext) =>
      removeImages(files, input),
    setLabels: (input: { dataset: string; image: string } & ImageLabelNames, _context: CallContext) =>
      setLabels(files, input),
    removeClass: (input: { dataset: string; class: string }, _context: CallContext) => removeClass(files, input),
    renameClass: (input: { dataset: string; class: string; to: string }, _context: CallContext) =>
      renameClass(files, input),

    models: () => listModels(files),
    addModel: (input: { name: string; source: string | readonly File[] }, context: CallContext) =>
      addModel(files, input, context),
    removeModel: (name: string, _context: CallContext) => removeStored(files, 'models', name),

    runs: () => listRuns(files),
    train: async (input: SessionTrainOptions, _context: CallContext) =>
      keep(await startRun(files, { ...options, ...defined(input) })),
    resume: async (input: { run: string } & ResumeOptions, _context: CallContext) =>
      keep(await resumeRun(files, { ...options, ...defined(input) })),
    next: (id: number, _context: CallContext) => streamAt(id).next(),
    async stop(id: number, _context: CallContext): Promise<void> {
      await streams.get(id)?.stop()
      streams.delete(id)
    },
    history: (name: string, _context: CallContext) => runHistory(files, name),
    removeRun: (name: string, _context: CallContext) => removeRun(files, name),
    runFiles: (name: string, _context: CallContext) => runFiles(files, name),

    open: (target: Target, _context: CallContext) => tryout.open(target),
    predict: (
      { images, thresholds }: { images: readonly SentImage[]; thresholds?: Thresholds | undefined },
      _context: CallContext,
    ) => tryout.predict(images, thresholds),
    explain: (image: SentImage, _context: CallContext) => tryout.explain(image),

    /** Saves what is being trained, then lets go of everything. */
    async close(): Promise<void> {
      for (const [id, stream] of streams) {
        streams.delete(id)
        await stream.stop()
      }
      await tryout.close()
    },
  }
}
export type Host = ReturnType<typeof createHost>
