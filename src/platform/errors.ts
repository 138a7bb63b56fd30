// The one error class that means "the input is at fault": one clear sentence, exit code 2 in the CLI.

/** Bad input (a file, an option, a configuration): the message is one sentence that says what to do. */
export class InputError extends Error {
  override name = 'InputError'
}
