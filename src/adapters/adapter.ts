// What an adapter is. Each is a file beside this one and a line in registry.ts; nobody else compares their names.
import type { Linear, LinearAdapter } from '../nn/layers.ts'
import type { Rng } from '../tensor/philox.ts'
import type { LoraConfig } from './config.ts'
import type { Strength } from './rules.ts'

/** Sizes of an adapted layer. */
export interface LayerSizes {
  readonly nIn: number
  readonly nOut: number
  readonly r: number
}

/** A tensor of an adapter. */
export interface AdapterPart {
  /** The field of the adapter that holds it. */
  readonly field: string
  /** PEFT's name for it behind that of the layer, and what comes last in it. */
  readonly stored: string
  readonly leaf?: 'weight' | 'bias'
  shape(sizes: LayerSizes): number[]
  /** Whether adapters of these settings have it; all have where this is absent. */
  asked?(config: LoraConfig): boolean
  /** Whether it stays as it began; none does where this is absent. */
  frozen?(config: LoraConfig): boolean
}

/** How one layer is adapted. */
export interface LayerAdapting {
  readonly config: LoraConfig
  readonly strength: Pick<Strength, 'r' | 'scaling'>
  /** How it starts; where values are read over it, the default costs least. */
  readonly init: LoraConfig['initLoraWeights']
}

/** An adapter as the registry has it. */
export interface AdapterKind {
  /** As the settings call it. */
  readonly name: string
  /** As people call it. */
  readonly title: string
  /** PEFT's peft_type; several adapters may share one. */
  readonly peftType: string
  /** A learning rate that suits it with AdamW. */
  readonly defaultRate: number
  /** All tensors that it may have, in the order in which they are saved. */
  readonly parts: readonly AdapterPart[]
  /** The field whose first size is the rank, where it has one. */
  readonly rankField?: string
  /** Settings that tell it from others of its peft_type, so that they are not free. */
  readonly decided?: readonly string[]
  /** Settings that only it has, of those that it shares a peft_type with. */
  readonly ownSettings?: readonly string[]
  /** Its settings: defaults filled in, values checked. Throws an InputError naming the first bad field. */
  configure(given: Partial<LoraConfig>): LoraConfig
  /** Whether settings of that peft_type are this adapter's. */
  owns(config: LoraConfig): boolean
  /** What to put on a layer. Throws with nothing taken. */
  create(base: Linear, adapting: LayerAdapting, rng: Rng): LinearAdapter
}

/** The field of an adapter that holds the parameter of that path; undefined for what belongs to no adapter. */
export const adapterField = (path: string): string | undefined => /\.adapter\.(.+)$/.exec(path)?.[1]

/** What stands behind a layer's name in files. */
export const storedName = ({ stored, leaf }: AdapterPart): string => (leaf === undefined ? stored : `${stored}.${leaf}`)

/** What a part is called in messages: a weight by its module. */
export const spokenName = (part: AdapterPart): string => storedName(part).replace(/\.weight$/, '')
