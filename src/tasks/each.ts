// Settings that are one number for all labels or one for each.
import { InputError } from '../platform/errors.ts'

/** One number for all labels or one for each, as one for each. Throws an InputError on another count, and on what does not fit. */
export function each(
  name: string,
  given: number | readonly number[],
  count: number,
  says: string,
  fits: (n: number) => boolean,
) {
  const values = typeof given === 'number' ? new Array<number>(count).fill(given) : given
  if (values.length !== count) {
    throw new InputError(`${name}: must be one for each of ${count} labels, got ${values.length}`)
  }
  const wrong = values.find((value) => !fits(value))
  if (wrong !== undefined) throw new InputError(`${name}: must be ${says}, got ${wrong}`)
  return values
}
