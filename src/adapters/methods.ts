// The ways to fine-tune: all weights, the classifier alone, or one of the adapters. What differs between them is asked of
// these entries; nobody compares their names.
import type { AdapterKind } from './adapter.ts'
import type { LoraConfig } from './config.ts'
import { type AdapterName, adapterOf, adapters } from './registry.ts'

export type Method = 'full' | 'linear' | AdapterName

/** A method as the registry has it. */
export interface MethodKind {
  readonly name: Method
  /** As people call it. */
  readonly title: string
  /** The adapter that it trains, where it does. */
  readonly adapter?: AdapterKind
  /** What a run of it is kept as: an adapter's two files, or the whole model. */
  readonly saves: 'adapter' | 'model'
  /** Whether nothing before the classifier trains, so that an image gives it the same features each time. */
  readonly classifierOnly: boolean
  /** A learning rate that suits it with AdamW. OTX uses 1e-4 for all, which leaves adapters and heads behind. */
  readonly defaultRate: number
  /** What to try where its memory is too much. */
  readonly lighter?: Method
}

const names = Object.keys(adapters) as AdapterName[]

function adapting(name: AdapterName): MethodKind {
  const adapter: AdapterKind = adapters[name]
  const { title, defaultRate } = adapter
  return { name, title, adapter, saves: 'adapter', classifierOnly: false, defaultRate }
}

const kinds: Readonly<Record<Method, MethodKind>> = {
  full: {
    name: 'full',
    title: 'full fine-tuning',
    saves: 'model',
    classifierOnly: false,
    defaultRate: 1e-4,
    lighter: 'lora',
  },
  linear: { name: 'linear', title: 'linear probing', saves: 'model', classifierOnly: true, defaultRate: 1e-3 },
  ...(Object.fromEntries(names.map((name) => [name, adapting(name)])) as Record<AdapterName, MethodKind>),
}

export const methods = Object.keys(kinds) as readonly Method[]

/** What there is to know of a method. */
export const methodOf = (name: Method): MethodKind => kinds[name]

/** The method that trains an adapter of these settings further. */
export const methodFor = (config: LoraConfig): Method => adapterOf(config).name
