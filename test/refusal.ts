// What tests of bad input share.
import * as assert from 'uvu/assert'
import { InputError } from 'vitune'

/** The sentence of the InputError that `promise` rejects with; fails when there is none, or an error of another kind. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    assert.instance(error, InputError, String(error))
    assert.ok((error as Error).message.length <= 300, (error as Error).message)
    return (error as Error).message
  }
  throw new Error('was not refused')
}
