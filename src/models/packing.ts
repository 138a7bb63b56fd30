// Which weights of a model are packed, and packing them. Not here: how numbers are packed (tensor/packing/), what is read packed.
import type { StoredPacked } from '../io/bitsandbytes.ts'
import { type Init, inPlaceOf, Linear } from '../nn/layers.ts'
import { type Module, namedModules } from '../nn/module.ts'
import { unpack } from '../ops/packed.ts'
import { InputError } from '../platform/errors.ts'
import { Packed, type Packing } from '../tensor/packed.ts'
import { type Parameter, parameter } from '../tensor/tensor.ts'

/** How a model's frozen matrices are packed: those of its blocks, but for modules named in `skip`. */
export interface ModelPacking extends Packing {
  /** Modules that stay f32, by checkpoint name: the whole one ('encoder.layer.0'), or a part between dots ('query'). */
  readonly skip?: readonly string[]
  /** Modules that are saved whole, which stay f32 too; they may be any, packed or not. */
  readonly saved?: readonly string[]
}

const names = (module: string, name: string) => `.${name}.`.includes(`.${module}.`)

/** Linear layers inside a model's blocks by our name: those that can be packed. */
export function packableLayers(model: Module): { path: string; layer: Linear }[] {
  return [...namedModules(model)].flatMap(([path, layer]) =>
    layer instanceof Linear && path.startsWith('blocks.') && !path.includes('.adapter.') ? [{ path, layer }] : [],
  )
}

/** Those of them that are packed, by checkpoint name; throws an InputError where `skip` names none. */
function chosen(model: Module, { skip = [], saved = [] }: ModelPacking, nameOf: (path: string) => string) {
  const layers = packableLayers(model).map(({ path, layer }) => ({ name: nameOf(path), layer }))
  const idle = skip.find((module) => !layers.some(({ name }) => names(module, name)) && !isHeadLike(module))
  if (idle !== undefined) {
    const endings = [...new Set(layers.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))]
    throw new InputError(
      `quantizeSkip: no layer that would be packed is called ${idle}; their names end in ${endings.join(', ')}`,
    )
  }
  return layers.map((one) => ({ ...one, packed: ![...skip, ...saved].some((module) => names(module, one.name)) }))
}

/** What is never packed may be named all the same, as in bitsandbytes' lists. */
const isHeadLike = (module: string) => /classifier|head|embeddings|norm/.test(module)

/** Gives the layers that are to stay f32 a weight that does, in a model whose blocks were made packed. */
export function keepWhole(model: Module, packing: ModelPacking, nameOf: (path: string) => string, init: Init): void {
  for (const { layer, packed } of chosen(model, packing, nameOf)) {
    if (packed) continue
    const { backend, shape } = layer.weight
    layer.weight.dispose()
    layer.weight = parameter(backend, init(shape), shape)
  }
}

/** Makes a model's packed weights the f32 numbers that they stand for, frozen; tells of how many layers. */
export function unpackModel(model: Module): number {
  let layers = 0
  for (const { layer } of packableLayers(model)) {
    const { weight } = layer
    if (!(weight instanceof Packed)) continue
    layer.weight = inPlaceOf(weight, () => unpack(weight))
    weight.dispose()
    layers++
  }
  return layers
}

/** Whether a weight of the model takes a stored one bit by bit. */
export function liesAs(stored: StoredPacked, p: Parameter | Packed): p is Packed {
  if (!(p instanceof Packed) || stored.format !== p.format) return false
  return p.format === 'int8' || (stored.block === p.block && stored.double === p.double)
}

/** A packing with what weights that are stored in its format have of it. */
export function packedLike(packing: ModelPacking, stored: readonly StoredPacked[]): ModelPacking {
  const like = stored.find(({ format }) => format === packing.format)
  return like ? { double: like.double, block: like.block, ...packing } : packing
}

/** How far packed weights are from what they were packed from. */
export interface PackingError {
  readonly layers: number
  /** Root of the mean square of the differences, over that of the weights. */
  readonly relative: number
  readonly largest: number
  /** Of the weights, before and after. */
  readonly bytes: readonly [number, number]
}

/**
 * Packs the matrices of a model's blocks that are f32, one at a time; those that are stored so (`storedOf`, by checkpoint name) as
 * they are stored. Adapters stay on their layers. Throws an InputError where `skip` names nothing.
 */
export async function packModel(
  model: Module,
  packing: ModelPacking,
  nameOf: (path: string) => string,
  storedOf: (name: string) => StoredPacked | undefined = () => undefined,
): Promise<PackingError> {
  let [layers, squares, differences, largest, before, after] = [0, 0, 0, 0, 0, 0]
  const all = chosen(model, packing, nameOf).map((one) => ({ ...one, stored: storedOf(one.name) }))
  const way = packedLike(
    packing,
    all.flatMap(({ stored }) => stored ?? []),
  )
  for (const { layer, packed, stored } of all) {
    const { weight } = layer
    if (!packed || weight instanceof Packed) continue
    const values = (await weight.data()) as Float32Array
    const made = new Packed(weight.backend, weight.shape, way)
    try {
      if (stored && liesAs(stored, made)) {
        const { words, scales } = await stored.read()
        made.write(words, scales)
      } else made.assign(values)
    } catch (error) {
      made.dispose()
      throw error
    }
    const read = await made.data()
    for (const [i, value] of values.entries()) {
      const off = Math.abs(value - read[i]!)
      squares += value * value
      differences += off * off
      largest = Math.max(largest, off)
    }
    layer.weight = made
    weight.dispose()
    layers++
    before += 4 * values.length
    after += made.bytes
  }
  return { layers, relative: squares > 0 ? Math.sqrt(differences / squares) : 0, largest, bytes: [before, after] }
}
