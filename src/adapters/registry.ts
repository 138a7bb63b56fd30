// The adapters that there are. What differs between them is asked of these entries; nobody compares their names.
import type { AdapterKind, AdapterPart } from './adapter.ts'
import type { LoraConfig } from './config.ts'
import { dora } from './dora.ts'
import { lora } from './lora.ts'

export const adapters = { lora, dora } as const satisfies Record<string, AdapterKind>
export type AdapterName = keyof typeof adapters

const kinds: readonly AdapterKind[] = Object.values(adapters)

/** Whose settings these are. */
export function adapterOf(config: LoraConfig): AdapterKind & { readonly name: AdapterName } {
  return kinds.find((kind) => kind.owns(config)) as AdapterKind & { readonly name: AdapterName }
}

/** Every part that some adapter has, once. */
export const everyPart: readonly AdapterPart[] = [
  ...new Map(kinds.flatMap(({ parts }) => parts).map((part) => [part.field, part])).values(),
]
