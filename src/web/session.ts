// A session: everything that takes time runs in a worker, which also owns the files; the page sends messages and is
// never blocked. The worker starts from text inside this bundle, so no bundler needs to know of it.
import { workerText } from 'web:worker'
import { source } from 'worker:image-worker'
import { platform } from '#platform'
import type { DeviceReport } from '../backend/create.ts'
import type { Device } from '../backend/devices.ts'
import { compiled } from '../backend/wasm/variants.ts'
import type { DownloadProgress } from '../io/model-files.ts'
import { InputError } from '../platform/errors.ts'
import type { ImageSource } from '../platform/platform.ts'
import type { TrainEvent } from '../run/train.ts'
import type { OnDeviceLost } from '../settings/settings.ts'
import type { Thresholds } from '../use/decide.ts'
import type { Explanation } from '../use/explain.ts'
import type { ImagePrediction } from '../use/predict.ts'
import type { Host, Started } from './host.ts'
import { type SentExample, type SentImage, toSent, transfersOf } from './images.ts'
import { type Caller, connect } from './rpc.ts'
import type { ResumeOptions, SessionTrainOptions } from './runs.ts'
import type { Target } from './tryout.ts'
import type { HistoryEntry, Opened, StoredDataset, StoredImage, StoredModel, StoredRun } from './types.ts'

export interface SessionOptions {
  /** Default 'auto'. */
  device?: Device
  /** WASM threads; default one for each processor, at most 16, where the page is cross-origin isolated. */
  threads?: number
  /** What its runs do when the device is lost, where they do not say; see TrainSettings. Default 'restart'. */
  onDeviceLost?: OnDeviceLost
}

/** An image to keep, and a name; default the file's, or a number. It has a class or labels. */
export interface Example {
  readonly source: ImageSource
  /** Its one class. A path makes a tree: a picture of `animal/dog` is one of `animal` too. */
  readonly class?: string
  /** Any number of labels, none too, instead of a class. All images of a set have classes, or all have labels. */
  readonly labels?: readonly string[]
  /** Labels that nobody looked for: they count neither as there nor as absent. */
  readonly unknown?: readonly string[]
  readonly name?: string
}

export interface SessionPredictOptions {
  /** From which score on a label is there: one for all, or one a label in the order of the classes. Default: as it was trained. */
  readonly thresholds?: Thresholds
}

export interface AddImagesOptions {
  onProgress?(done: number, total: number): void
  signal?: AbortSignal
  /** Told of what could not be decoded and was left out; without it the first such image ends the call. */
  onBroken?(file: string, reason: string): void
}

export interface AddModelOptions {
  onProgress?(progress: DownloadProgress): void
  /** Aborted, nothing of the model is kept. */
  signal?: AbortSignal
}

/**
 * What a page holds. Images, models and runs are kept in the browser's own storage for this site, and stay when the tab is
 * closed; where the browser keeps none (see `storage`), they are in memory. Bad input rejects with an InputError, as
 * everywhere.
 */
export interface Session {
  /** Which backend runs, with its capabilities. */
  readonly device: DeviceReport
  /**
   * 'memory' where the browser keeps no files for this page (private windows, blocked storage, no origin private file
   * system): what the session holds, 2 GB at most, is gone with the tab, and no run can be resumed after a reload.
   */
  readonly storage: 'browser' | 'memory'
  /** What this browser lacks and what follows, one sentence each: why files are in memory, what is less exact. */
  readonly notes: readonly string[]
  /** Computes on another device from the next call on, with all that is kept; rejects and changes nothing where it is not there. */
  setDevice(device: Device): Promise<DeviceReport>
  /** Every backend with its capabilities, or the reason it is not there. */
  devices(): Promise<DeviceReport[]>

  datasets(): Promise<StoredDataset[]>
  /**
   * Keeps images under a dataset's name. Different images of one class and name are all kept, told apart by an addition to
   * the name; the same image of the same name is kept once, with all labels that were given. Classes whose names show the
   * same text are one.
   */
  addImages(dataset: string, images: Iterable<Example>, options?: AddImagesOptions): Promise<StoredDataset>
  removeDataset(name: string): Promise<void>
  /** The first `count` images of a class as they are kept, in a tree also of those below it; or of those with a label. */
  images(dataset: string, label: string, count: number): Promise<File[]>
  /** Every image of a dataset with its labels; `imageFiles` has what they show. */
  listImages(dataset: string): Promise<StoredImage[]>
  imageFiles(dataset: string, images: readonly string[]): Promise<File[]>
  removeImages(dataset: string, images: readonly string[]): Promise<void>
  /** Gives an image these labels instead of its own. Where images have one class each it moves to that one. */
  setLabels(dataset: string, image: string, labels: readonly string[], unknown?: readonly string[]): Promise<void>
  /** Removes a class with its images and what is below it; where images have any number of labels, the label from all of them. */
  removeClass(dataset: string, label: string): Promise<void>
  /** Gives a class or label another name; in a tree a path, so that it moves with all below it. Two of one name become one. */
  renameClass(dataset: string, label: string, to: string): Promise<void>

  models(): Promise<StoredModel[]>
  /** Keeps a model: a folder in Hugging Face layout by its address (`.../resolve/main/`), or the files of a dropped one. */
  addModel(name: string, source: string | URL | readonly File[], options?: AddModelOptions): Promise<StoredModel>
  removeModel(name: string): Promise<void>

  runs(): Promise<StoredRun[]>
  /** Trains as `train` does. `break` stops and saves; what is saved each epoch outlives the tab. One tab at a time. */
  train(options: SessionTrainOptions): AsyncGenerator<TrainEvent, void>
  /** Continues from where the run was saved last. Rejects with a ChangedError where its images or its model are not as they were. */
  resume(run: string, options?: ResumeOptions): AsyncGenerator<TrainEvent, void>
  /** What a run's steps and epochs measured so far. */
  history(run: string): Promise<HistoryEntry[]>
  removeRun(name: string): Promise<void>
  /** PEFT's two files of the best epoch (a model folder's for full and linear), and run.json, which names the classes. */
  adapterFiles(run: string): Promise<File[]>

  /** Opens a run's model, or a kept model with perhaps an adapter, for `predict` and `explain`. */
  open(target: Target): Promise<Opened>
  /** Labels and scores; `decide` reads the same outputs with other thresholds, without the model. */
  predict(images: readonly ImageSource[], options?: SessionPredictOptions): Promise<ImagePrediction[]>
  /** Which patches counted, by attention rollout. */
  explain(image: ImageSource): Promise<Explanation>

  /** Saves what is being trained and ends the worker; calls still open reject. */
  close(): Promise<void>
}

/** Images sent in one message. */
const AT_ONCE = 16

async function sendImages(
  { call }: Caller<Host>,
  dataset: string,
  images: Iterable<Example>,
  { onProgress, signal, onBroken }: AddImagesOptions,
): Promise<StoredDataset> {
  const all = [...images]
  for (let at = 0; at < all.length; at += AT_ONCE) {
    signal?.throwIfAborted()
    const part = all.slice(at, at + AT_ONCE)
    const examples: SentExample[] = await Promise.all(
      part.map(async ({ source, class: label, labels, unknown, name }) => ({
        source: await toSent(source),
        class: label,
        labels,
        unknown,
        name,
      })),
    )
    const broken = await call(
      'addImages',
      { dataset, examples },
      { transfer: transfersOf(examples.map((e) => e.source)) },
    )
    for (const { file, reason } of broken) {
      if (!onBroken) throw new InputError(`${file}: cannot be decoded, ${reason}`)
      onBroken(file, reason)
    }
    onProgress?.(at + part.length, all.length)
  }
  return call('dataset', dataset)
}

/** Events one at a time, asked for when the page is ready for the next. */
async function* events({ call }: Caller<Host>, starting: () => Promise<number>): AsyncGenerator<TrainEvent, void> {
  const id = await starting()
  try {
    for (;;) {
      const result = await call('next', id)
      if (result.done) return
      yield result.value
    }
  } finally {
    await call('stop', id)
  }
}

/** Milliseconds in which a worker has to be ready: one that is blocked or hangs says nothing. */
const PATIENCE = 60_000

/** Waits for the worker's first answer; throws an Error that says what it waited for. */
async function starting({ call }: Caller<Host>, options: SessionOptions): Promise<Started> {
  const { device, threads, onDeviceLost } = options
  let stage = 'its worker has not answered'
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`session: did not start within ${PATIENCE / 1000} s, ${stage}; reload the page or choose wasm`))
    }, PATIENCE)
  })
  const onProgress = (doing: string) => {
    stage = `while ${doing}`
  }
  const answer = call('start', { device, threads, onDeviceLost }, { onProgress })
  return Promise.race([answer, late]).finally(() => clearTimeout(timer))
}

/**
 * Starts a worker that holds backend, models and runs. In a browser only: throws an InputError in Node, where `train`
 * and the rest are called directly, and where the device asked for is not there.
 */
export async function openSession(options: SessionOptions = {}): Promise<Session> {
  if (platform.name !== 'browser') {
    throw new InputError('session: needs a browser; in Node call train, openRun and predict directly')
  }
  // The worker's text lacks what this bundle has as text already: that is put before it.
  const texts = { kernels: compiled, imageWorker: source() }
  const text = `const VITUNE_TEXTS=${JSON.stringify(texts)};${workerText()}`
  const caller = connect<Host>(platform.startWorker(text))
  const { call, stop } = caller
  const { storage, notes, ...started } = await starting(caller, options).catch(async (error) => {
    await stop()
    throw error
  })
  let { device } = started
  const send = async <T>(
    images: readonly ImageSource[],
    go: (sent: SentImage[], transfer: Transferable[]) => Promise<T>,
  ) => {
    const sent = await Promise.all(images.map(toSent))
    return go(sent, transfersOf(sent))
  }
  return {
    get device() {
      return device
    },
    storage,
    notes,
    async setDevice(wanted) {
      device = await call('setDevice', wanted)
      return device
    },
    devices: () => call('devices', undefined),
    datasets: () => call('datasets', undefined),
    addImages: (dataset, images, more = {}) => sendImages(caller, dataset, images, more),
    removeDataset: (name) => call('removeDataset', name),
    images: (dataset, label, count) => call('images', { dataset, class: label, count }),
    listImages: (dataset) => call('listImages', dataset),
    imageFiles: (dataset, images) => call('imageFiles', { dataset, images }),
    removeImages: (dataset, images) => call('removeImages', { dataset, images }),
    setLabels: (dataset, image, labels, unknown) =>
      call('setLabels', { dataset, image, labels, ...(unknown && { unknown }) }),
    removeClass: (dataset, label) => call('removeClass', { dataset, class: label }),
    renameClass: (dataset, label, to) => call('renameClass', { dataset, class: label, to }),
    models: () => call('models', undefined),
    addModel: (name, source, { onProgress, signal } = {}) => {
      const from = typeof source === 'string' || source instanceof URL ? new URL(source, document.baseURI).href : source
      return call('addModel', { name, source: from }, { signal, onProgress })
    },
    removeModel: (name) => call('removeModel', name),
    runs: () => call('runs', undefined),
    train: (settings) => events(caller, () => call('train', settings)),
    resume: (run, more = {}) => events(caller, () => call('resume', { run, ...more })),
    history: (run) => call('history', run),
    removeRun: (name) => call('removeRun', name),
    adapterFiles: (run) => call('runFiles', run),
    open: (target) => call('open', target),
    predict: (images, { thresholds } = {}) =>
      send(images, (sent, transfer) => call('predict', { images: sent, thresholds }, { transfer })),
    explain: (image) => send([image], ([sent], transfer) => call('explain', sent!, { transfer })),
    async close() {
      try {
        await call('close', undefined)
      } finally {
        await stop()
      }
    },
  }
}
