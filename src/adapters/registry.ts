// The adapters that there are. What differs between them is asked of these entries; nobody compares their names.
import type { AdapterConfig, AdapterKind, AdapterPart } from './adapter.ts'
import { dora } from './dora.ts'
import { lora } from './lora.ts'
import type { LoraConfig } from './lora-config.ts'

export const adapters = { lora, dora } as const satisfies Record<string, AdapterKind>
export type AdapterName = keyof typeof adapters

/** Settings of any of them. */
export type AnyAdapterConfig = LoraConfig

type AnyKind = AdapterKind<AnyAdapterConfig>

const kinds: readonly AnyKind[] = Object.values(adapters)

/** Whose settings these are. */
export function adapterOf(config: AdapterConfig): AnyKind & { readonly name: AdapterName } {
  return kinds.find((kind) => kind.owns(config)) as AnyKind & { readonly name: AdapterName }
}

/** PEFT's types that can be read. */
export const peftTypes = [...new Set(kinds.map(({ peftType }) => peftType))]

/** The adapters of a type of PEFT's. */
export const adaptersOfType = (type: unknown): AnyKind[] => kinds.filter(({ peftType }) => peftType === type)

/** Every part that some adapter has, once. */
export const everyPart: readonly AdapterPart[] = [
  ...new Map(kinds.flatMap(({ parts }) => parts).map((part) => [part.field, part])).values(),
]

const formerly = new RegExp(`(?<!\\.adapter)\\.(${everyPart.map(({ field }) => field).join('|')})(?=\\.|$)`)

/** The path of an adapter's parameter where an earlier version put that on the layer itself: 'query.loraA'. */
export const currentPath = (path: string): string => path.replace(formerly, '.adapter.$1')
