// What an adapter is. Each is a file beside this one and a line in registry.ts; nobody else compares their names.
import type { Linear, LinearAdapter } from '../nn/layers.ts'
import type { Rng } from '../tensor/philox.ts'

export const biasModes = ['none', 'all', 'lora_only'] as const
export type BiasMode = (typeof biasModes)[number]

/** Settings of any adapter, as PEFT has them: on which layers it is put, how strong it is there, what is saved beside it. */
export interface AdapterConfig {
  /** Names, one regular expression over the whole module name, or 'all-linear'. */
  targetModules: string[] | string
  excludeModules: string[] | string | undefined
  layersToTransform: number[] | number | undefined
  layersPattern: string[] | string | undefined
  modulesToSave: string[] | undefined
  bias: BiasMode
  /** Rank and scaling, where an adapter has them, and those of single layers. */
  r?: number
  alpha?: number
  useRslora?: boolean
  rankPattern?: Record<string, number>
  alphaPattern?: Record<string, number>
}

/** How strong an adapter is on one layer. */
export interface Strength {
  r: number
  alpha: number
  /** alpha / r, or alpha / sqrt r with rank-stabilised LoRA. */
  scaling: number
}

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
  asked?(config: AdapterConfig): boolean
  /** Whether it stays as it began; none does where this is absent. */
  frozen?(config: AdapterConfig): boolean
}

/** How one layer is adapted. */
export interface LayerAdapting<C extends AdapterConfig = AdapterConfig> {
  readonly config: C
  readonly strength: Pick<Strength, 'r' | 'scaling'>
  /** Values are read over what it starts with: then the start that costs least will do. */
  readonly overwritten?: boolean
}

/** An adapter as the registry has it. */
export interface AdapterKind<C extends AdapterConfig = AdapterConfig> {
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
  configure(given: Partial<C>): C
  /** Whether settings are this adapter's, which a field that no other has tells. */
  owns(config: AdapterConfig): boolean
  /** Fields of adapter_config.json that it knows, beside those of every adapter. */
  readonly fields: readonly string[]
  /** Reads them. Throws an InputError on what it does not compute. */
  parse(json: Readonly<Record<string, unknown>>): C
  /** All that PEFT writes of them. */
  write(config: C): Record<string, unknown>
  /** What to put on a layer. Throws with nothing taken. */
  create(base: Linear, adapting: LayerAdapting<C>, rng: Rng): LinearAdapter
}

/** The field of an adapter that holds the parameter of that path; undefined for what belongs to no adapter. */
export const adapterField = (path: string): string | undefined => /\.adapter\.(.+)$/.exec(path)?.[1]

/** What stands behind a layer's name in files. */
export const storedName = ({ stored, leaf }: AdapterPart): string => (leaf === undefined ? stored : `${stored}.${leaf}`)

/** What a part is called in messages: a weight by its module. */
export const spokenName = (part: AdapterPart): string => storedName(part).replace(/\.weight$/, '')
