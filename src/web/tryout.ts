// The model that a session has open to predict and explain with, on a backend of its own.
import type { Backend } from '../backend/backend.ts'
import { type BackendOptions, createBackend } from '../backend/create.ts'
import { bringAdapter, fileSource } from '../io/model-files.ts'
import { labelFacts } from '../labels/facts.ts'
import { disposeModule } from '../nn/module.ts'
import { randomId } from '../platform/browser-paths.ts'
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'
import type { Quantize } from '../settings/quantize.ts'
import { type Thresholds, taskWith } from '../use/decide.ts'
import { type Explanation, explain } from '../use/explain.ts'
import { type OpenModel, openModel, openRun } from '../use/open-model.ts'
import { type ImagePrediction, predict, taskOf } from '../use/predict.ts'
import { findRun, packingIn } from '../use/run-file.ts'
import type { SentImage } from './images.ts'
import { checkName, places } from './store.ts'
import type { Opened } from './types.ts'

/** What to open: a run's model as trained so far, or a stored model, perhaps with an adapter's files. */
export type Target = ({ run: string } | { model: string; adapter?: readonly File[] | undefined }) & {
  /** Weights in 4 or 8 bits; without it as the run was trained. */
  quantize?: Quantize | undefined
}

/** Opens a stored model with an adapter from files, which pass through a folder of their own. */
async function openAdapted(
  files: Files,
  backend: Backend,
  model: string,
  given: readonly File[],
  quantize: Quantize | undefined,
): Promise<OpenModel> {
  const adapter = `/vitune/opened/${randomId()}`
  try {
    await bringAdapter(fileSource(given), adapter)
    // An adapter of ours says at which input size it was trained.
    const run = await findRun(adapter)
    const packed = run && quantize === undefined ? packingIn(run) : { quantize }
    const { inputSize, interpolation } = run ?? {}
    return await openModel(backend, model, { adapter, inputSize, interpolation, ...packed })
  } finally {
    await files.remove(adapter)
  }
}

/** Holds one open model at a time. */
export function createTryout(files: Files, options: () => BackendOptions) {
  let backend: Backend | undefined
  let opened: OpenModel | undefined

  function current(): OpenModel {
    if (opened) return opened
    throw new InputError('predict: no model is open; open a run or a model first')
  }
  const closeModel = () => {
    if (opened) disposeModule(opened.model)
    opened = undefined
  }

  return {
    async open(target: Target): Promise<Opened> {
      closeModel()
      backend ??= await createBackend(options())
      const { quantize } = target
      if ('run' in target) {
        opened = await openRun(backend, files.join(places.runs, checkName('run', target.run)), { quantize })
      } else {
        const folder = files.join(places.models, checkName('model', target.model))
        opened = target.adapter
          ? await openAdapted(files, backend, folder, target.adapter, quantize)
          : await openModel(backend, folder, { quantize })
      }
      const { labels, notes, model } = opened
      return { classes: [...model.config.classes], labels: labels && labelFacts(labels), notes: [...notes] }
    },
    predict(images: readonly SentImage[], thresholds?: Thresholds): Promise<ImagePrediction[]> {
      const opened = current()
      const { labels: space } = taskOf(opened)
      const task = taskWith({ ...opened.labels, space }, thresholds)
      return predict(opened, images, { strict: true, task })
    },
    explain: (image: SentImage): Promise<Explanation> => explain(current(), image),
    async close(): Promise<void> {
      closeModel()
      await backend?.dispose()
      backend = undefined
    },
  }
}
