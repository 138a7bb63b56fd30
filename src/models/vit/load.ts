// Vision transformers from model folders: Hugging Face names, or timm's. Writing them is in save.ts.
import type { Backend } from '../../backend/backend.ts'
import type { StoredPacked } from '../../io/bitsandbytes.ts'
import type { Checkpoint } from '../../io/checkpoint.ts'
import { checkWeights } from '../../io/safetensors.ts'
import { zeros } from '../../nn/layers.ts'
import { disposeModule, namedParameters, namedWeights } from '../../nn/module.ts'
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import { countNonFinite } from '../../tensor/finite.ts'
import { Packed } from '../../tensor/packed.ts'
import type { PackedValues } from '../../tensor/packing/packing.ts'
import type { Parameter } from '../../tensor/tensor.ts'
import { labelsOf, numbered } from '../labels.ts'
import type { Dialect, Loaded } from '../model-kind.ts'
import { liesAs, type ModelPacking, packableLayers, packedLike } from '../packing.ts'
import { type Interpolation, parseVitConfig, type VitConfig } from './config.ts'
import { leftOver } from './ledger.ts'
import { baseName, huggingFaceName, isHeadModule, storedShape, timmName } from './names.ts'
import { interpolatePositions } from './positions.ts'
import { beforeTimm, isTimm, timmConfig, timmLabels, timmSpelling, unknownArchitecture } from './timm.ts'
import { Vit } from './vit.ts'

export interface LoadOptions {
  /** Input size in pixels (height, width) or one side; position embeddings are interpolated to it. Default: the checkpoint's. */
  inputSize?: number | [number, number]
  /** How positions are interpolated; default: what the checkpoint's own library does. */
  interpolation?: Interpolation
  /** Take weights that are not finite as they are; else they are refused. */
  allowNonFinite?: boolean
  /** How the blocks' matrices are packed, each as it is read; 'none': they are f32. Without it they are as they are stored. */
  packing?: ModelPacking | 'none'
  /** Modules that are f32 where the rest is as it is stored, by checkpoint name. */
  skip?: readonly string[]
  /** Modules that are saved whole, f32 too, which may be any. */
  saved?: readonly string[]
}

/** No larger side is asked for by any configuration. */
const mostPixels = 8192

interface Source {
  readonly config: VitConfig
  readonly dialect: Dialect
  readonly notes: string[]
  /** The stored name of our parameter as its library spells it, and which third of the tensor it is. */
  spelt(name: string): { name: string; third?: 0 | 1 | 2 }
  /** That name as the checkpoint has it; undefined where it has none. */
  stored(name: string): string | undefined
  /** Throws where the stored shape is not that of our parameter. */
  check(name: string, shape: readonly number[]): void
  /** The values of our parameter, of the shape that was checked. */
  read(name: string, shape: readonly number[]): Promise<Float32Array>
  /** Our weight as it is stored packed, whole; undefined where it is not. */
  packed(name: string): StoredPacked | undefined
}

/** The names of a checkpoint in one spelling. Throws an InputError where two of its tensors are the same one. */
function spellings({ folder, names }: Checkpoint, spell: (name: string) => string): Map<string, string> {
  const found = new Map<string, string>()
  for (const name of names()) {
    const spelt = spell(name)
    const other = found.get(spelt)
    if (other !== undefined) {
      throw new InputError(
        `${folder}: ${other} and ${name} are the same tensor under two names; keep the one that is meant`,
      )
    }
    found.set(spelt, name)
  }
  return found
}

/** A source over a checkpoint whose names are known in one spelling. */
function sourceOf(
  checkpoint: Checkpoint,
  found: ReadonlyMap<string, string>,
  rest: Pick<Source, 'config' | 'dialect' | 'notes' | 'spelt'>,
  values: (name: string) => Promise<Float32Array>,
): Source {
  const { config, spelt } = rest
  const stored = (name: string) => found.get(spelt(name).name)
  const check = (name: string, shape: readonly number[]) => {
    const [rows, ...others] = storedShape(name, shape, config)
    const wanted = [spelt(name).third === undefined ? rows! : 3 * rows!, ...others]
    const key = stored(name) ?? spelt(name).name
    checkWeights(`${checkpoint.folder}: ${key}`, checkpoint.info(key), wanted, ' for this config.json')
  }
  // A fused tensor is read once for its three parts.
  const fused = new Map<string, Float32Array>()
  return {
    ...rest,
    stored,
    check,
    packed(name) {
      const key = stored(name)
      return key === undefined || spelt(name).third !== undefined ? undefined : checkpoint.packed(key)
    },
    async read(name, shape) {
      check(name, shape)
      const key = stored(name)!
      const { third } = spelt(name)
      if (third === undefined) return values(key)
      const data = fused.get(key) ?? (await values(key))
      if (third < 2) fused.set(key, data)
      else fused.delete(key)
      const part = data.length / 3
      return data.slice(third * part, (third + 1) * part)
    },
  }
}

function timmSource(checkpoint: Checkpoint, values: (name: string) => Promise<Float32Array>): Source {
  const found = spellings(checkpoint, timmSpelling)
  const shapes = new Map([...found].map(([name, key]) => [name, checkpoint.info(key).shape]))
  const config = timmConfig(checkpoint.config, shapes)
  const labels = timmLabels(checkpoint.config, shapes.get('head.weight')?.[0] ?? 0)
  const notes = [...unknownArchitecture(checkpoint.config), ...labels.notes]
  return sourceOf(checkpoint, found, { config, dialect: 'timm', notes, spelt: timmName }, values)
}

function huggingFaceSource(checkpoint: Checkpoint, values: (name: string) => Promise<Float32Array>): Source {
  const config = parseVitConfig(checkpoint.config, outputsOf(checkpoint))
  // DeiT's two classifiers show that both tokens are read.
  if (config.distillationToken && !checkpoint.has('classifier.weight') && checkpoint.has('cls_classifier.weight')) {
    config.pooling = 'distilled'
  }
  const prefix = `${baseName(config)}.`
  const apart = (name: string) => isHeadModule(name) || name.startsWith('decoder.')
  // A bare backbone ('Dinov2Model') stores the same names without the leading class name.
  const found = spellings(checkpoint, (name) => (name.startsWith(prefix) || apart(name) ? name : prefix + name))
  const spelt = (name: string) => ({ name: huggingFaceName(name, config) })
  const source = sourceOf(checkpoint, found, { config, dialect: 'huggingface', notes: [], spelt }, values)
  const head = source.stored('head.weight')
  if (head === undefined) return source
  const count = checkpoint.info(head).shape[0] ?? 0
  // Hugging Face leaves out what is its default: two classes of no name.
  if (config.classes.length === 0) config.classes = numbered(count)
  source.notes.push(...labelsOf(checkpoint.config, count).notes)
  return source
}

/** Rows of a Hugging Face checkpoint's classifier. */
function outputsOf(checkpoint: Checkpoint): number | undefined {
  const head = ['classifier.weight', 'cls_classifier.weight'].find((name) => checkpoint.has(name))
  return head === undefined ? undefined : checkpoint.info(head).shape[0]
}

/** The model that a checkpoint describes, from its configuration and the shapes of its tensors alone. */
export function describeVit(checkpoint: Checkpoint): VitConfig {
  return openSource(checkpoint).config
}

function openSource(
  checkpoint: Checkpoint,
  values: (name: string) => Promise<Float32Array> = (name) => checkpoint.read(name),
): Source {
  const names = checkpoint.names()
  if (isTimm(names)) return timmSource(checkpoint, values)
  const before = beforeTimm(names)
  if (before !== undefined) {
    throw new InputError(
      `${checkpoint.folder}: timm's names begin with "${before}", which no library stores, take it off`,
    )
  }
  return huggingFaceSource(checkpoint, values)
}

/** Names of all weights of such a model, and of those that can be packed, from one whose every size is 1. */
function weightNames(backend: Backend, c: VitConfig): { names: string[]; packable: string[] } {
  const one = { hidden: 1, heads: 1, mlpHidden: 1, channels: 1, patchSize: 1, imageSize: [1, 1] as [number, number] }
  const model = new Vit(
    backend,
    { ...c, ...one, registers: Math.min(1, c.registers), classes: c.classes.slice(0, 1) },
    zeros,
  )
  const names = [...namedParameters(model)].map(([name]) => name)
  const packable = packableLayers(model).map(({ path }) => `${path}.weight`)
  disposeModule(model)
  return { names, packable }
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

/** What stands before the names that are missing, where that is all. */
function prefixOf(missing: readonly string[], over: readonly string[]): string | undefined {
  const prefixes = missing.map((name) => over.find((found) => found.endsWith(`.${name}`))?.slice(0, -name.length))
  return prefixes.every((prefix) => prefix !== undefined && prefix === prefixes[0]) ? prefixes[0] : undefined
}

/** Throws where a parameter has no tensor; returns the stored tensors that none of them is. */
function checkNames(source: Source, checkpoint: Checkpoint, parameters: readonly string[]): string[] {
  const missing = new Set(
    parameters.filter((name) => source.stored(name) === undefined).map((n) => source.spelt(n).name),
  )
  const used = new Set(parameters.map((name) => source.stored(name)))
  const over = checkpoint.names().filter((name) => !used.has(name))
  if (missing.size > 0) {
    const count = missing.size === 1 ? 'one tensor is' : `${missing.size} tensors are`
    const names = [...missing]
    const prefix = prefixOf(names, over)
    const hint = prefix
      ? `; names begin with "${prefix}", which no library stores, take it off`
      : over.length > 0 && over.length < 4
        ? `; it holds ${over.join(', ')}`
        : ''
    throw new InputError(
      `${checkpoint.folder}: ${count} missing: ${names.slice(0, prefix ? 2 : 8).join(', ')}${names.length > 8 ? ', ...' : ''}${hint}`,
    )
  }
  return over
}

/**
 * Builds the model that a checkpoint describes and fills in its weights. Throws InputError naming everything missing, every
 * tensor that would be left unread, and weights that are not finite.
 */
export async function loadVit(
  backend: Backend,
  checkpoint: Checkpoint,
  options: LoadOptions = {},
): Promise<Loaded<Vit>> {
  const finite = finiteReader(checkpoint)
  const source = openSource(checkpoint, finite.read)
  const { config } = source
  const size = options.inputSize ?? config.imageSize
  config.imageSize = typeof size === 'number' ? [size, size] : size
  if (options.interpolation) config.positionInterpolation = options.interpolation
  if (!config.imageSize.every((side) => Number.isInteger(side) && side >= config.patchSize)) {
    throw new InputError(
      `input size: must be whole pixels, at least one patch of ${config.patchSize}, got ${config.imageSize.join(' x ')}`,
    )
  }
  if (config.imageSize.some((side) => side > mostPixels))
    throw new InputError(`input size: may be ${mostPixels} pixels a side, got ${config.imageSize.join(' x ')}`)
  if (config.classes.length > 0 && source.stored('head.weight') === undefined) config.classes = []
  const { names, packable } = weightNames(backend, config)
  const unused = checkNames(source, checkpoint, names)
  const notes = [...checkpoint.notes, ...source.notes, ...leftOver(checkpoint.folder, unused)]
  checkSizes(source)
  const positions = await storedPositions(source)
  const model = new Vit(backend, config, zeros, packingOf(source, packable, options))
  const tally = packedTally()
  try {
    for (const [name, p] of namedWeights(model)) {
      const stored = source.packed(name)
      tally.count(name, stored, p)
      if (stored && liesAs(stored, p)) {
        source.check(name, p.shape)
        const { words, scales } = await finite.packed(source.stored(name)!, stored)
        p.write(words, scales)
        continue
      }
      const values = await (positions[name]?.() ?? source.read(name, p.shape))
      const broken = p instanceof Packed ? finite.broken() : undefined
      if (broken !== undefined) {
        throw new InputError(
          `${checkpoint.folder}: weights that are packed must be finite, got ${broken}; take an earlier checkpoint`,
        )
      }
      p.assign(values)
    }
    const broken = finite.broken()
    if (broken !== undefined && !options.allowNonFinite) {
      throw new InputError(
        `${checkpoint.folder}: weights must be finite, got ${broken}; take an earlier checkpoint, or allow it with --allow-nonfinite (allowNonFinite)`,
      )
    }
    if (broken !== undefined) notes.push(`weights that are not finite were let in: ${broken}`)
  } catch (error) {
    disposeModule(model)
    throw error
  }
  return { model, dialect: source.dialect, unused, notes: [...notes, ...tally.notes()] }
}

/** How the model is packed: as is asked, with what the stored weights have of that format; else as they are stored. */
function packingOf(source: Source, packable: readonly string[], options: LoadOptions): ModelPacking | undefined {
  const { packing, skip = [], saved = [] } = options
  if (packing === 'none') return undefined
  const stored = packable.flatMap((name) => source.packed(name) ?? [])
  if (packing) return packedLike(packing, stored)
  if (!stored[0]) return undefined
  const { format, double, block } = stored[0]
  const whole = packable.filter((name) => source.packed(name) === undefined)
  const nameOf = (name: string) => huggingFaceName(name.replace(/\.weight$/, ''), source.config)
  return { format, double, block, skip: [...skip, ...whole.map(nameOf)], saved }
}

/** Counts what became of stored packed weights, for a sentence. */
function packedTally() {
  const kinds = new Set<string>()
  const [kept, anew, whole]: [string[], string[], string[]] = [[], [], []]
  return {
    count(name: string, stored: StoredPacked | undefined, p: Parameter | Packed) {
      if (!stored) return
      const { format, double, block } = stored
      kinds.add(
        `${stored.name}${double ? ' with packed maxima' : ''}${format === 'int8' ? '' : `, blocks of ${block}`}`,
      )
      const list = liesAs(stored, p) ? kept : p instanceof Packed ? anew : whole
      list.push(name.replace(/\.weight$/, ''))
    },
    notes(): string[] {
      const parts = [
        kept.length > 0 ? `${kept.length} stay so` : '',
        anew.length > 0 ? `${anew.length} are packed anew` : '',
        whole.length > 0 ? `${whole.length} are read as f32 (${listed(whole, 3)})` : '',
      ].filter(Boolean)
      return kinds.size === 0 ? [] : [`weights are stored packed (${[...kinds].join('; ')}): ${parts.join(', ')}`]
    },
  }
}

/** A checkpoint's tensors as they are read, and how many of their values are not finite. */
function finiteReader(checkpoint: Checkpoint) {
  const counts: string[] = []
  return {
    async read(name: string): Promise<Float32Array> {
      const data = await checkpoint.read(name)
      const bad = countNonFinite(data)
      if (bad > 0) counts.push(`${bad} of ${data.length} values in ${name}`)
      return data
    },
    async packed(name: string, stored: StoredPacked): Promise<PackedValues> {
      const packed = await stored.read()
      const bad = countNonFinite(packed.scales)
      if (bad > 0) counts.push(`${bad} of ${packed.scales.length} scales of ${name}`)
      return packed
    },
    /** Undefined where all are. */
    broken(): string | undefined {
      return counts.length === 0 ? undefined : listed(counts, 2)
    },
  }
}

type Positions = Partial<Record<string, () => Promise<Float32Array>>>

/**
 * How the tokens before the patches and the positions come from what is stored: positions are interpolated to the input
 * size. Register tokens beside positions for the class token are Meta's: there they belong to the class token alone, and
 * timm's model has them within it.
 */
async function storedPositions(source: Source): Promise<Positions> {
  const { config } = source
  const { hidden, positionPrefix, positionGrid, imageSize, patchSize, positionInterpolation, registers } = config
  const stored = await source.read('positions', [positionPrefix + positionGrid[0] * positionGrid[1], hidden])
  const grid: [number, number] = [Math.floor(imageSize[0] / patchSize), Math.floor(imageSize[1] / patchSize)]
  const prefix = stored.subarray(0, positionPrefix * hidden)
  const patches = () =>
    interpolatePositions(stored.subarray(prefix.length), hidden, positionGrid, grid, positionInterpolation)
  if (source.dialect === 'timm' && registers > 0 && positionPrefix > 0) {
    const added = async (name: string, rows: number, at: number) => {
      const token = Float32Array.from(await source.read(name, [rows, hidden]))
      for (let i = 0; i < token.length; i++) token[i] = token[i]! + (prefix[at * hidden + i] ?? 0)
      return token
    }
    config.positionPrefix = 0
    return {
      classToken: () => added('classToken', 1, 0),
      registerTokens: () => added('registerTokens', registers, 1),
      positions: async () => patches(),
    }
  }
  return {
    async positions() {
      const all = new Float32Array(prefix.length + grid[0] * grid[1] * hidden)
      all.set(prefix)
      all.set(patches(), prefix.length)
      return all
    },
  }
}
