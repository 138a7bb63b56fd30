// How the parts of a configuration come together as OTX's command line has it: `overrides` of a recipe over what it names, and
// dotted flags over all. Pure; what is merged stays as it was.
import { isRecord } from '../../io/json.ts'
import { isNode, type Path, type Table } from './reading.ts'

/** One over the other, key by key; lists and classes of another name take the place of what was there. */
function over(below: unknown, above: unknown): unknown {
  if (!isRecord(below) || !isRecord(above)) return above
  if (isNode(below) && isNode(above) && 'class_path' in above && above.class_path !== below.class_path) return above
  const merged = new Map(Object.entries(below))
  for (const [key, value] of Object.entries(above))
    merged.set(key, merged.has(key) ? over(merged.get(key), value) : value)
  return Object.fromEntries(merged)
}

/** Lists of classes: one of the same class is changed, others come after. */
function overList(below: unknown, above: readonly unknown[]): unknown {
  const list = Array.isArray(below) ? [...below] : []
  for (const one of above) {
    const at = list.findIndex((node) => isNode(node) && isNode(one) && node.class_path === one.class_path)
    if (at < 0) list.push(one)
    else list[at] = over(list[at], one)
  }
  return list
}

/** A configuration with its own `overrides` applied: lists of callbacks and loggers by class, `reset` keys wholly. */
export function withOverrides(config: Table): Table {
  const { overrides, ...rest } = config
  if (!isRecord(overrides)) return config
  const { reset = [], ...others } = overrides
  const anew = (Array.isArray(reset) ? reset : [reset]).map(String)
  const merged = new Map(Object.entries(rest))
  for (const [key, value] of Object.entries(others)) {
    const before = merged.get(key)
    const list = Array.isArray(value) && Array.isArray(before)
    merged.set(key, anew.includes(key) ? value : list ? overList(before, value) : over(before, value))
  }
  return Object.fromEntries(merged)
}

/** Keys whose value names a class, so that what is below them is one of its arguments. */
const ofClasses = ['model', 'optimizer', 'scheduler', 'main_scheduler_callable', 'sampler', 'metric']
const ofNodes = ['class_path', 'init_args', 'dict_kwargs', 'enable']

/** `model.peft` in full: model, init_args, peft. */
export function inFull(keys: readonly string[]): string[] {
  return keys.flatMap((key, i) =>
    i > 0 && ofClasses.includes(keys[i - 1]!) && !ofNodes.includes(key) ? ['init_args', key] : [key],
  )
}

/** With a value at a place; what is on the way there and no table becomes one, but for lists. */
export function setAt(config: unknown, [key, ...rest]: Path, value: unknown): unknown {
  if (key === undefined) return value
  if (Array.isArray(config)) return config.map((one, i) => (String(i) === String(key) ? setAt(one, rest, value) : one))
  const table =
    typeof config === 'string' && ofNodes.includes(String(key))
      ? { class_path: config }
      : isRecord(config)
        ? config
        : {}
  const below = Object.hasOwn(table, key) ? table[key] : undefined
  const named = ofClasses.includes(String(key)) && rest.length === 0 && typeof value === 'string'
  const next = named ? over(below, { class_path: value }) : setAt(below, rest, value)
  return Object.fromEntries(new Map(Object.entries(table)).set(String(key), next))
}
