// What takes registry.ts's place in what a page loads, by rollup.config.mjs: published data sets lie on disks, and their readers
// would be a twentieth of it.
import { InputError } from '../../../platform/errors.ts'
import type { Files } from '../../../platform/platform.ts'
import type { LabelSource, SourceContext } from '../source.ts'
import type { Format } from './format.ts'

/** No layout is known. */
export const formats: Readonly<Record<string, Format>> = {}

/** No name is a layout's. */
export function formatOf(name: string): Format {
  throw new InputError(
    `format: must be left out in a browser, got ${JSON.stringify(name)}; published sets are read in Node`,
  )
}

/** No folder has any. */
export const formatsIn = async (_root: string, _files: Files): Promise<string[]> => []

/** Nothing is recognised. */
export const recogniseFormat = async (_root: string, _files: Files): Promise<string | undefined> => undefined

/** Refuses all. */
export const formatSource = async (_root: string, name: string, _context: SourceContext): Promise<LabelSource> =>
  formatOf(name) as never
