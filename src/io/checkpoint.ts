// A model folder in Hugging Face layout: config.json, one model.safetensors or shards with their index, and perhaps
// preprocessor_config.json. Tensors keep the names they are stored under, without what PyTorch's wrappers put into them
// (wrappers.ts); what they mean is the models' business.
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import type { Files } from '../platform/platform.ts'
import { type StoredPacked, withPacked } from './bitsandbytes.ts'
import { isRecord, readJsonObject } from './json.ts'
import { localFiles } from './local-files.ts'
import { openSafetensors, type SafetensorsFile, type TensorInfo } from './safetensors.ts'
import { unwrapNames } from './wrappers.ts'

/** An open model folder. */
export interface Checkpoint {
  readonly folder: string
  /** config.json, parsed and otherwise unchecked. */
  readonly config: Readonly<Record<string, unknown>>
  /** preprocessor_config.json, where there is one. */
  readonly preprocessor: Readonly<Record<string, unknown>> | undefined
  /** What was taken otherwise than it stands there, and files that are not read, a sentence each. */
  readonly notes: readonly string[]
  names(): string[]
  has(name: string): boolean
  /** Throws an InputError when there is no such tensor. */
  info(name: string): TensorInfo
  /** The tensor's values as f32, row by row. */
  read(name: string): Promise<Float32Array<ArrayBuffer>>
  /** The tensor as it is packed, where it is a weight that bitsandbytes packed. `info` and `read` tell of its numbers all the same. */
  packed(name: string): StoredPacked | undefined
}

/** File names of a model folder. */
export const checkpointFiles = {
  config: 'config.json',
  preprocessor: 'preprocessor_config.json',
  weights: 'model.safetensors',
  index: 'model.safetensors.index.json',
} as const

/** File names of an adapter folder as PEFT writes it, and of what vitune keeps beside them: the classes, the base's fingerprint. */
export const adapterFiles = {
  config: 'adapter_config.json',
  weights: 'adapter_model.safetensors',
  run: 'run.json',
} as const

const mostShards = 1000

/**
 * Shard file of every tensor, from the text of an index file. Throws an InputError when there is no weight map, a shard's
 * name could leave the folder, or there are over 1000 of them.
 */
export function parseWeightMap(json: unknown, label: string): Map<string, string> {
  const map = isRecord(json) ? json.weight_map : undefined
  if (!isRecord(map)) throw new InputError(`${label}: must have a weight_map`)
  const found = new Map<string, string>()
  const shards = new Set<string>()
  for (const name of Object.keys(map)) {
    const file = map[name]
    if (typeof file !== 'string' || !/^[\w.-]+\.safetensors$/.test(file)) {
      throw new InputError(
        `${label}: "${name}" must lie in a .safetensors file of the same folder, got ${JSON.stringify(file)}`,
      )
    }
    found.set(name, file)
    if (shards.add(file).size > mostShards) throw new InputError(`${label}: may name ${mostShards} shards, got more`)
  }
  if (found.size === 0) throw new InputError(`${label}: must have a weight_map`)
  return found
}

/** Whether a folder has a configuration and all of its weights. */
export async function hasModel(files: Files, folder: string): Promise<boolean> {
  const has = async (name: string) => (await files.kind(files.join(folder, name))) === 'file'
  if (!(await has(checkpointFiles.config))) return false
  if (await has(checkpointFiles.weights)) return true
  if (!(await has(checkpointFiles.index))) return false
  const index = files.join(folder, checkpointFiles.index)
  for (const shard of new Set(parseWeightMap(await readJsonObject(index), index).values())) {
    if (!(await has(shard))) return false
  }
  return true
}

async function openShards(files: Files, folder: string): Promise<Map<string, SafetensorsFile>> {
  const indexPath = files.join(folder, checkpointFiles.index)
  const map = parseWeightMap(await readJsonObject(indexPath), indexPath)
  const shards = new Map<string, SafetensorsFile>()
  const absent: string[] = []
  for (const file of new Set(map.values())) {
    const path = files.join(folder, file)
    if ((await files.kind(path)) === 'file') shards.set(file, await openSafetensors(path))
    else absent.push(file)
  }
  if (absent.length > 0) {
    throw new InputError(`${indexPath}: names shards that are not there: ${listed(absent)}; copy or download them too`)
  }
  const where = new Map<string, SafetensorsFile>()
  const unknown: string[] = []
  for (const [name, file] of map) {
    const shard = shards.get(file)
    if (shard?.has(name)) where.set(name, shard)
    else unknown.push(`${name} in ${file}`)
  }
  if (unknown.length > 0) throw new InputError(`${indexPath}: names tensors that are not there: ${listed(unknown)}`)
  const unnamed = [...shards].flatMap(([file, shard]) =>
    shard.names().flatMap((name) => (map.get(name) === file ? [] : [`${name} in ${file}`])),
  )
  if (unnamed.length > 0) {
    throw new InputError(
      `${indexPath}: must name all tensors of its shards, got none of ${listed(unnamed)}; save the model anew`,
    )
  }
  return where
}

/** Weights in the folder that are not this model's, which nobody should take for read. */
async function passedOver(files: Files, folder: string): Promise<string[]> {
  const has = async (name: string) => (await files.kind(files.join(folder, name))) === 'file'
  const notes: string[] = []
  if ((await has(checkpointFiles.weights)) && (await has(checkpointFiles.index))) {
    notes.push(`${checkpointFiles.weights} is read, not the shards of ${checkpointFiles.index} beside it`)
  }
  if (await has(adapterFiles.weights)) {
    notes.push('the adapter in the model folder is not put on; give the folder as the adapter too')
  }
  return notes
}

async function openWeights(files: Files, folder: string): Promise<Map<string, SafetensorsFile>> {
  const single = files.join(folder, checkpointFiles.weights)
  if ((await files.kind(single)) === 'file') {
    const file = await openSafetensors(single)
    return new Map(file.names().map((name) => [name, file]))
  }
  if ((await files.kind(files.join(folder, checkpointFiles.index))) === 'file') return openShards(files, folder)
  const names = await files.list(folder)
  const old = names.find((name) => /^pytorch_model.*\.(bin|json)$/.test(name))
  if (old) {
    throw new InputError(
      `${folder}: has ${old} but no ${checkpointFiles.weights}; convert it once in Python: ` +
        'AutoModelForImageClassification.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)',
    )
  }
  throw new InputError(`${folder}: must have ${checkpointFiles.weights} or ${checkpointFiles.index}, got neither`)
}

/** Opens a model folder and checks everything but the data itself; throws an InputError that says what is wrong. */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const files = localFiles(folder)
  const kind = await files.kind(folder)
  if (kind !== 'folder') throw new InputError(`${folder}: must be a model folder, got ${kind ?? 'nothing there'}`)
  const configPath = files.join(folder, checkpointFiles.config)
  if ((await files.kind(configPath)) !== 'file') {
    throw new InputError(
      `${folder}: must have ${checkpointFiles.config}; is this a model folder in Hugging Face layout?`,
    )
  }
  const config = await readJsonObject(configPath)
  const preprocessorPath = files.join(folder, checkpointFiles.preprocessor)
  const preprocessor = (await files.kind(preprocessorPath)) ? await readJsonObject(preprocessorPath) : undefined
  const where = await openWeights(files, folder)
  const { stored, note } = unwrapNames(where.keys(), folder)
  const find = (name: string): { file: SafetensorsFile; key: string } => {
    const key = stored.get(name)
    if (key === undefined) throw new InputError(`${folder}: no tensor "${name}" among its ${where.size}`)
    return { file: where.get(key)!, key }
  }
  const plain = {
    folder,
    config,
    preprocessor,
    notes: [...(note ? [note] : []), ...(await passedOver(files, folder))],
    names: () => [...stored.keys()],
    has: (name: string) => stored.has(name),
    info(name: string) {
      const { file, key } = find(name)
      return file.info(key)
    },
    async read(name: string) {
      const { file, key } = find(name)
      return file.read(key)
    },
  }
  return withPacked(plain, async (name, from, to) => {
    const { file, key } = find(name)
    return file.bytes(key, from, to)
  })
}
