// The ways to fine-tune: all weights, the classifier alone, or one of the adapters; and the control that they are compared
// with. What differs between them is asked of these entries; nobody compares their names.
import type { AdapterKind } from './adapter.ts'
import { type AdapterName, type AnyAdapterConfig, adapterOf, adapters } from './registry.ts'

export type Method = 'full' | 'linear' | AdapterName

/** A method as the registry has it. */
export interface MethodKind {
  readonly name: Method
  /** As people call it. */
  readonly title: string
  /** The adapter that it trains, where it does. */
  readonly adapter?: AdapterKind<AnyAdapterConfig>
  /** With the classifier alone, nothing before it changes: an image gives it the same features each time. */
  readonly trains: 'all' | 'classifier' | 'adapter'
  /** What a run of it is kept as: an adapter's two files, or the whole model. */
  readonly saves: 'adapter' | 'model'
  /** A learning rate that suits it with AdamW. OTX uses 1e-4 for all, which leaves adapters and heads behind. */
  readonly defaultRate: number
  /** What to try where its memory is too much. */
  readonly lighter?: Method
}

const names = Object.keys(adapters) as AdapterName[]

function withAdapter(name: AdapterName): MethodKind {
  const adapter: AdapterKind<AnyAdapterConfig> = adapters[name]
  const { title, defaultRate } = adapter
  return { name, title, adapter, trains: 'adapter', saves: 'adapter', defaultRate }
}

const kinds: Readonly<Record<Method, MethodKind>> = {
  full: { name: 'full', title: 'Full', trains: 'all', saves: 'model', defaultRate: 1e-4, lighter: 'lora' },
  linear: { name: 'linear', title: 'Linear', trains: 'classifier', saves: 'model', defaultRate: 1e-3 },
  ...(Object.fromEntries(names.map((name) => [name, withAdapter(name)])) as Record<AdapterName, MethodKind>),
}

export const methods = Object.keys(kinds) as readonly Method[]

/** Methods that train an adapter, in words: 'lora or dora'. */
export const adapterMethods = methods.filter((name) => kinds[name].adapter).join(' or ')

/** What there is to know of a method. */
export const methodOf = (name: Method): MethodKind => kinds[name]

/** The method that trains an adapter of these settings further. */
export const methodFor = (config: AnyAdapterConfig): Method => adapterOf(config).name

/** The control: the same architecture with fresh weights, trained as a method trains. */
const scratch = { title: 'From scratch', method: 'full' } as const

/** A method, or the control. */
export type Compared = Method | 'scratch'

/** How what is compared is called and trained; undefined for a name that stands for nothing. */
export function comparedAs(name: Compared): { title: string; kind: MethodKind; fresh: boolean }
export function comparedAs(name: string): { title: string; kind: MethodKind; fresh: boolean } | undefined
export function comparedAs(name: string) {
  if (name === 'scratch') return { title: scratch.title, kind: kinds[scratch.method], fresh: true }
  const kind = Object.hasOwn(kinds, name) ? kinds[name as Method] : undefined
  return kind && { title: kind.title, kind, fresh: false }
}
