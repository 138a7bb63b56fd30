// How frozen weights are packed, as settings say it.
import type { ModelPacking } from '../models/packing.ts'

/** What `quantize` may be, and how that packs. */
const ways = {
  none: undefined,
  nf4: { format: 'nf4' },
  int8: { format: 'int8' },
  'int8-forward': { format: 'int8', integerGradient: false },
  'int8-block': { format: 'int8-block' },
} as const satisfies Record<string, ModelPacking | undefined>

export type Quantize = keyof typeof ways
export const quantizeNames = Object.keys(ways) as Quantize[]

/** How a model's frozen weights are packed; undefined where they are not. What is saved whole trains, so it stays f32. */
export function packingOf(
  {
    quantize = 'none',
    doubleQuant,
    quantizeSkip = [],
  }: {
    readonly quantize?: Quantize | undefined
    readonly doubleQuant?: boolean | undefined
    readonly quantizeSkip?: readonly string[] | undefined
  },
  saved: readonly string[] = [],
): ModelPacking | undefined {
  const way: ModelPacking | undefined = ways[quantize]
  if (!way) return undefined
  // Maxima that are stored in f32 stay so: only false says otherwise than what is stored.
  return { ...way, ...(doubleQuant === false ? { double: false } : {}), skip: quantizeSkip, saved }
}

/** The same for weights that are being read: without `quantize` they stay as they are stored. */
export function readingOf(
  options: Parameters<typeof packingOf>[0],
  saved: readonly string[] = [],
): { packing: ModelPacking | 'none' } | { skip: readonly string[]; saved: readonly string[] } {
  if (options.quantize === undefined) return { skip: options.quantizeSkip ?? [], saved }
  return { packing: packingOf(options, saved) ?? 'none' }
}
