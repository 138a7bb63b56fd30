// The formats of packed weights by name. Each is a file here; what a kernel calls them is in backend/kernels.ts.
import { packedFormats } from '../../backend/kernels.ts'
import { int8 } from './int8.ts'
import { int8Block } from './int8-block.ts'
import { nf4 } from './nf4.ts'
import type { Packing } from './packing.ts'

/** How a packed weight is stored. */
export type PackedFormat = 'nf4' | 'int8' | 'int8-block'

/** Sizes, packing and unpacking by format. */
export const packings: { readonly [F in PackedFormat]: Packing } = { nf4, int8, 'int8-block': int8Block }

/** What kernels call a format (`packedFormats`). */
export const kernelFormat = (format: PackedFormat, double: boolean): number =>
  format === 'nf4' && double ? packedFormats['nf4-double'] : packedFormats[format]
