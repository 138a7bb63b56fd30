// The terminal under Node, for the command line only: arguments, two streams, stop signals, exit codes.

export type StopSignal = 'SIGINT' | 'SIGTERM'

export interface Terminal {
  /** Arguments after the program's name. */
  readonly args: readonly string[]
  /** Whether standard error is a terminal, where a line may be overwritten. */
  readonly live: boolean
  /** Whether standard output, or standard error, is a terminal that shows colour (NO_COLOR and FORCE_COLOR are heard). */
  readonly colour: { readonly out: boolean; readonly err: boolean }
  /** Width of standard error in characters. */
  columns(): number
  out(text: string): void
  err(text: string): void
  /** Calls the listener at each stop signal instead of ending the process; returns how to undo that. */
  onStop(listener: (signal: StopSignal) => void): () => void
  /** Called once when the reader of a stream has gone (`| head`); until a listener is set the process then ends with code 0. */
  onClosed(listener: () => void): void
  /** The code to end with once all is written. */
  exitWith(code: number): void
  exitNow(code: number): never
}

function coloured(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  if (NO_COLOR) return false
  if (FORCE_COLOR) return FORCE_COLOR !== '0'
  return stream.isTTY === true && TERM !== 'dumb'
}

const closed = new Set<NodeJS.WriteStream>()
let onClosed: () => void = () => process.exit(0)

function write(stream: NodeJS.WriteStream, text: string): void {
  if (!closed.has(stream) && text !== '') stream.write(text)
}

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    if (closed.size === 0) onClosed()
    closed.add(stream)
  })
}

export const terminal: Terminal = {
  args: process.argv.slice(2),
  live: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
  colour: { out: coloured(process.stdout), err: coloured(process.stderr) },
  columns: () => process.stderr.columns || 80,
  out: (text) => write(process.stdout, text),
  err: (text) => write(process.stderr, text),
  onStop(listener) {
    const signals: StopSignal[] = ['SIGINT', 'SIGTERM']
    for (const signal of signals) process.on(signal, listener)
    return () => {
      for (const signal of signals) process.off(signal, listener)
    }
  },
  onClosed(listener) {
    onClosed = listener
  },
  exitWith(code) {
    process.exitCode = code
  },
  exitNow: (code) => process.exit(code),
}
