// Models that a session keeps: added from an address or from files, described from their headers alone.

import { outputSize } from '../data/preprocess.ts'
import { hasModel, openCheckpoint } from '../io/checkpoint.ts'
import { readJsonObject } from '../io/json.ts'
import type { DownloadProgress } from '../io/model-files.ts'
import { bringModel, fileSource, urlSource } from '../io/model-files.ts'
import { describeModel, namesOf, parseModelConfig } from '../models/registry.ts'
import { holdLock } from '../platform/browser-locks.ts'
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'
import { imagesOf } from '../use/model-images.ts'
import type { CallContext } from './rpc.ts'
import { checkName, foldersIn, places } from './store.ts'
import type { StoredModel } from './types.ts'

/** Beside the model: where it came from. */
const sourceFile = 'vitune-source.json'

async function describe(files: Files, name: string): Promise<StoredModel> {
  const folder = files.join(places.models, name)
  const checkpoint = await openCheckpoint(folder)
  const shapes = new Map(checkpoint.names().map((tensor) => [tensor, checkpoint.info(tensor).shape]))
  const config = describeModel(checkpoint)
  const { height, width } = outputSize(imagesOf(checkpoint).preprocess)
  const sizes = await Promise.all((await files.list(folder)).map((file) => files.size(files.join(folder, file))))
  return {
    name,
    bytes: sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0),
    architecture: namesOf(config).architecture(config),
    imageSize: [height, width],
    parameters: [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0),
  }
}

/** Whole models; what was broken off half way is not among them. */
export async function listModels(files: Files): Promise<StoredModel[]> {
  const models: StoredModel[] = []
  for (const name of await foldersIn(files, places.models)) {
    if (await hasModel(files, files.join(places.models, name))) models.push(await describe(files, name))
  }
  return models
}

/** Where a stored model came from: a name on the hub where it is one, else an address, else its name here. */
export async function originOf(files: Files, name: string): Promise<string> {
  const path = files.join(places.models, name, sourceFile)
  if ((await files.kind(path)) !== 'file') return name
  const { source } = await readJsonObject(path)
  if (typeof source !== 'string') return name
  const hub = /^https:\/\/huggingface\.co\/([\w.-]+\/[\w.-]+)\/resolve\//.exec(source)
  return hub ? hub[1]! : source
}

/** Removes what a tab that was closed left half fetched. */
export async function sweepModels(files: Files): Promise<void> {
  for (const name of await foldersIn(files, places.models)) {
    const release = await holdLock(`vitune model ${name}`)
    if (!release) continue
    const folder = files.join(places.models, name)
    if (!(await hasModel(files, folder))) await files.remove(folder)
    release()
  }
}

/**
 * Fetches a model into the storage, or copies files there. Throws an InputError when the name is taken, a file is missing
 * or it is no model that this library knows; nothing of it is kept then.
 */
export async function addModel(
  files: Files,
  { name, source }: { name: string; source: string | readonly File[] },
  { signal, progress }: CallContext,
): Promise<StoredModel> {
  const folder = files.join(places.models, checkName('model', name))
  const release = await holdLock(`vitune model ${name}`)
  if (!release) throw new InputError(`model: ${name} is being added already, here or in another tab`)
  try {
    if (await hasModel(files, folder))
      throw new InputError(`model: ${name} is kept already; remove it or choose another name`)
    await files.remove(folder)
    try {
      await bringModel(typeof source === 'string' ? urlSource(source) : fileSource(source), folder, {
        signal,
        onProgress: (p: DownloadProgress) => progress(p),
        check: (config) => {
          // timm's configuration is checked with its weights.
          if (config.model_type !== undefined) parseModelConfig(config)
        },
      })
      if (typeof source === 'string') {
        await files.writeAtomic(files.join(folder, sourceFile), JSON.stringify({ source }))
      }
      return await describe(files, name)
    } catch (error) {
      await files.remove(folder)
      throw error
    }
  } finally {
    release()
  }
}
