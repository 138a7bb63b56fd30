// Vision transformers from model folders: Hugging Face names, or timm's. Writing them is in save.ts.
import type { Backend } from '../backend/backend.ts'
import type { Checkpoint } from '../io/checkpoint.ts'
import { zeros } from '../nn/layers.ts'
import { disposeModule, namedParameters } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { sameShape, showShape } from '../tensor/shape.ts'
import { baseName, type Dialect, huggingFaceName, storedShape, timmName } from './names.ts'
import { interpolatePositions } from './positions.ts'
import { isTimm, timmConfig } from './timm.ts'
import { Vit } from './vit.ts'
import { type Interpolation, parseVitConfig, type VitConfig } from './vit-config.ts'

export interface LoadOptions {
  /** Input size in pixels (height, width) or one side; position embeddings are interpolated to it. Default: the checkpoint's. */
  inputSize?: number | [number, number]
  /** How positions are interpolated; default: what the checkpoint's own library does. */
  interpolation?: Interpolation
}

export interface LoadedVit {
  model: Vit
  dialect: Dialect
  /** Names in the checkpoint that the model has no use for. */
  unused: string[]
}

interface Source {
  config: VitConfig
  dialect: Dialect
  /** Throws where the stored shape is not that of our parameter. */
  check(name: string, shape: readonly number[]): void
  read(name: string, shape: readonly number[]): Promise<Float32Array>
  has(name: string): boolean
  used: Set<string>
}

function openSource(checkpoint: Checkpoint): Source {
  const names = checkpoint.names()
  const used = new Set<string>()
  const compare = (name: string, shape: readonly number[]) => {
    const got = checkpoint.info(name).shape
    const plain = (s: readonly number[]) => s.filter((d, i) => d !== 1 || i === s.length - 1)
    if (!sameShape(plain(got), plain(shape))) {
      throw new InputError(
        `${checkpoint.folder}: ${name} must be ${showShape(shape)} for this config.json, got ${showShape(got)}`,
      )
    }
  }
  if (isTimm(names)) {
    const config = timmConfig(checkpoint.config, new Map(names.map((n) => [n, checkpoint.info(n).shape])))
    // One fused tensor is read once for its three parts.
    let fused: { name: string; data: Float32Array } | undefined
    const check = (name: string, shape: readonly number[]) => {
      const [rows, ...rest] = storedShape(name, shape, config)
      const stored = timmName(name)
      compare(stored.name, [stored.third === undefined ? rows! : 3 * rows!, ...rest])
    }
    return {
      config,
      dialect: 'timm',
      used,
      has: (name) => checkpoint.has(timmName(name).name),
      check,
      async read(name, shape) {
        const stored = timmName(name)
        used.add(stored.name)
        check(name, shape)
        if (stored.third === undefined) return checkpoint.read(stored.name)
        if (fused?.name !== stored.name) fused = { name: stored.name, data: await checkpoint.read(stored.name) }
        const part = fused.data.length / 3
        return fused.data.slice(stored.third * part, (stored.third + 1) * part)
      },
    }
  }
  const config = parseVitConfig(checkpoint.config)
  const prefix = `${baseName(config)}.`
  // A bare backbone ('Dinov2Model') stores the same names without the leading class name.
  const bare = !names.some((name) => name.startsWith(prefix))
  const stored = (name: string) => {
    const full = huggingFaceName(name, config)
    return bare && full.startsWith(prefix) ? full.slice(prefix.length) : full
  }
  // Hugging Face leaves out what is its default: two classes of no name.
  const head = stored('head.weight')
  if (config.classes.length === 0 && checkpoint.has(head)) {
    config.classes = Array.from({ length: checkpoint.info(head).shape[0] ?? 0 }, (_, i) => `LABEL_${i}`)
  }
  const check = (name: string, shape: readonly number[]) => compare(stored(name), storedShape(name, shape, config))
  return {
    config,
    dialect: 'huggingface',
    used,
    has: (name) => checkpoint.has(stored(name)),
    check,
    read(name, shape) {
      used.add(stored(name))
      check(name, shape)
      return checkpoint.read(stored(name))
    },
  }
}

/** Names of all parameters of such a model, from one whose every size is 1. */
function parameterNames(backend: Backend, c: VitConfig): string[] {
  const one = { hidden: 1, heads: 1, mlpHidden: 1, channels: 1, patchSize: 1, imageSize: [1, 1] as [number, number] }
  const model = new Vit(
    backend,
    { ...c, ...one, registers: Math.min(1, c.registers), classes: c.classes.slice(0, 1) },
    zeros,
  )
  const names = [...namedParameters(model)].map(([name]) => name)
  disposeModule(model)
  return names
}

/** Compares the sizes that config.json claims with what is stored, before memory for them is asked for. */
function checkSizes(source: Source): void {
  const { hidden, layers, mlpHidden, swiglu, channels, patchSize, registers, classes, pooling, positionPrefix } =
    source.config
  const grid = source.config.positionGrid
  source.check('patch.weight', [hidden, channels * patchSize ** 2])
  source.check('positions', [positionPrefix + grid[0] * grid[1], hidden])
  if (registers > 0) source.check('registerTokens', [registers, hidden])
  if (classes.length > 0) source.check('head.weight', [classes.length, pooling === 'cls+mean' ? 2 * hidden : hidden])
  for (let i = 0; i < layers; i++)
    source.check(`blocks.${i}.mlp.fc1.weight`, [swiglu ? 2 * mlpHidden : mlpHidden, hidden])
}

/** Builds the model that a checkpoint describes and fills in its weights. Throws InputError naming everything missing. */
export async function loadVit(backend: Backend, checkpoint: Checkpoint, options: LoadOptions = {}): Promise<LoadedVit> {
  const source = openSource(checkpoint)
  const { config } = source
  const size = options.inputSize ?? config.imageSize
  config.imageSize = typeof size === 'number' ? [size, size] : size
  if (options.interpolation) config.positionInterpolation = options.interpolation
  if (!config.imageSize.every((side) => Number.isInteger(side) && side >= config.patchSize)) {
    throw new InputError(
      `input size: must be whole pixels, at least one patch of ${config.patchSize}, got ${config.imageSize.join(' x ')}`,
    )
  }
  if (config.classes.length > 0 && !source.has('head.weight')) config.classes = []
  const missing = parameterNames(backend, config).filter((name) => !source.has(name))
  if (missing.length > 0) {
    const names = [
      ...new Set(missing.map((n) => (source.dialect === 'timm' ? timmName(n).name : huggingFaceName(n, config)))),
    ]
    const count = names.length === 1 ? 'one tensor is' : `${names.length} tensors are`
    throw new InputError(
      `${checkpoint.folder}: ${count} missing: ${names.slice(0, 8).join(', ')}${names.length > 8 ? ', ...' : ''}`,
    )
  }
  checkSizes(source)
  const model = new Vit(backend, config, zeros)
  try {
    for (const [name, p] of namedParameters(model)) {
      p.assign(name === 'positions' ? await positionsFor(source, model) : await source.read(name, p.shape))
    }
  } catch (error) {
    disposeModule(model)
    throw error
  }
  return { model, dialect: source.dialect, unused: checkpoint.names().filter((name) => !source.used.has(name)) }
}

async function positionsFor(source: Source, model: Vit): Promise<Float32Array> {
  const { hidden, positionPrefix, positionGrid, imageSize, patchSize, positionInterpolation } = source.config
  const stored = await source.read('positions', [positionPrefix + positionGrid[0] * positionGrid[1], hidden])
  const grid: [number, number] = [Math.floor(imageSize[0] / patchSize), Math.floor(imageSize[1] / patchSize)]
  const prefix = stored.subarray(0, positionPrefix * hidden)
  const patches = interpolatePositions(
    stored.subarray(prefix.length),
    hidden,
    positionGrid,
    grid,
    positionInterpolation,
  )
  const all = new Float32Array(prefix.length + patches.length)
  all.set(prefix)
  all.set(patches, prefix.length)
  if (all.length !== model.positions.size)
    throw new Error(`positions: must have ${model.positions.size} values, got ${all.length}`)
  return all
}
