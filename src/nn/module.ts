// Modules are plain classes whose fields are parameters, modules or arrays of modules; names come from the fields.
import { Packed } from '../tensor/packed.ts'
import { Parameter, Tensor } from '../tensor/tensor.ts'

/** Base of everything with weights. It holds no state of its own. */
export abstract class Module {}

function* fields(module: Module): Generator<[string, Module | Parameter | Packed]> {
  for (const [name, value] of Object.entries(module)) {
    if (value instanceof Module || value instanceof Parameter || value instanceof Packed) yield [name, value]
    else if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) if (value[i] instanceof Module) yield [`${name}.${i}`, value[i]]
    }
  }
}

/** Every parameter and packed weight by dotted name ('blocks.3.attention.query.weight'), in field order. */
export function* namedWeights(module: Module, prefix = ''): Generator<[string, Parameter | Packed]> {
  for (const [name, value] of fields(module)) {
    if (value instanceof Module) yield* namedWeights(value, `${prefix}${name}.`)
    else yield [prefix + name, value]
  }
}

/** Those of them that are parameters, as all are where nothing is packed. */
export function* namedParameters(module: Module): Generator<[string, Parameter]> {
  for (const [name, value] of namedWeights(module)) if (value instanceof Parameter) yield [name, value]
}

/** Every module inside by dotted name, parents before children, the root left out. */
export function* namedModules(module: Module, prefix = ''): Generator<[string, Module]> {
  for (const [name, value] of fields(module)) {
    if (!(value instanceof Module)) continue
    yield [prefix + name, value]
    yield* namedModules(value, `${prefix}${name}.`)
  }
}

/** Puts `replacement` where the module of that dotted name stands. */
export function replaceModule(root: Module, path: string, replacement: Module): void {
  const parts = path.split('.')
  const last = parts.pop()!
  let at = root as unknown as Record<string, Record<string, unknown>>
  for (const part of parts) at = at[part] as typeof at
  ;(at as Record<string, unknown>)[last] = replacement
}

/** The parameters that an optimizer changes. */
export function trainableParameters(module: Module): [string, Parameter][] {
  return [...namedParameters(module)].filter(([, p]) => p.trainable)
}

/** Marks parameters as trainable or frozen; `match` picks by name (all without it). */
export function setTrainable(module: Module, on: boolean, match: (name: string) => boolean = () => true): void {
  for (const [name, p] of namedParameters(module)) if (match(name)) p.trainable = on
}

/**
 * What a forward pass depends on beside the values of weights, as text: plain fields of every module (rates, sizes) and
 * which tensors they hold. Equal texts mean that a recorded pass still does what the module would do.
 */
export function settingsOf(module: Module): string {
  const plain = (m: Module) =>
    Object.entries(m).filter(([, v]) => !(v instanceof Module) && !(Array.isArray(v) && v[0] instanceof Module))
  const all = [module, ...[...namedModules(module)].map(([, m]) => m)]
  return JSON.stringify(all.map(plain), (_, v) => (v instanceof Tensor ? v.id : v))
}

/** Number of elements: all, packed ones too, and trainable ones. */
export function countParameters(module: Module): { total: number; trainable: number } {
  let total = 0
  let trainable = 0
  for (const [, p] of namedWeights(module)) {
    total += p.size
    if (p.trainable) trainable += p.size
  }
  return { total, trainable }
}

/** Bytes of all weights of a module as they lie in memory. */
export function weightBytes(module: Module): number {
  let bytes = 0
  for (const [, p] of namedWeights(module)) bytes += p instanceof Packed ? p.bytes : 4 * p.size
  return bytes
}

/** Frees every tensor that the module and those inside hold. */
export function disposeModule(module: Module): void {
  for (const inside of [module, ...[...namedModules(module)].map(([, m]) => m)]) {
    for (const value of Object.values(inside)) if (value instanceof Tensor || value instanceof Packed) value.dispose()
  }
}
