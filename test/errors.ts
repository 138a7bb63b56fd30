// What should fail, in tests: the error, or its message.

/** What `promise` rejects with. */
export async function errorOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

/** The message of what a call throws or rejects with, or `nothing was thrown`. */
export async function failureOf(body: () => unknown): Promise<string> {
  try {
    await body()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return 'nothing was thrown'
}
