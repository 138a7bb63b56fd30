// The terminal under Node, for the command line only: arguments, two streams, stop signals, exit codes.

import { readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { WriteError } from './errors.ts'
import { writeError } from './files-node.ts'

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

export interface Terminal {
  /** Arguments after the program's name. */
  readonly args: readonly string[]
  /** Whether standard error is a terminal, where a line may be overwritten. */
  readonly live: boolean
  /** Whether standard output, or standard error, is a terminal that shows colour (NO_COLOR and FORCE_COLOR are heard). */
  readonly colour: { readonly out: boolean; readonly err: boolean }
  /** Width of standard error in characters. */
  columns(): number
  /** All of standard input; undefined where it has more bytes than `most`. */
  input(most: number): Promise<Uint8Array | undefined>
  out(text: string): void
  err(text: string): void
  /**
   * Calls the listener at each stop signal instead of ending the process; returns how to undo that. A hang-up is none where
   * whoever started the program wants it ignored (nohup).
   */
  onStop(listener: (signal: StopSignal) => void): () => void
  /**
   * Called once when results can no longer be written: with code 141 where their reader has gone (`| head`), with code 2 and
   * one sentence on a full disk. Until a listener is set the process then ends, for a reader that has gone with code 0. Notes
   * that cannot be written are lost.
   */
  onClosed(listener: (code: number, why?: string) => void): void
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
let onClosed = (code: number, why?: string): void => {
  if (why !== undefined) write(process.stderr, `vitune: ${why}\n`)
  process.exit(code === 141 ? 0 : code)
}

function write(stream: NodeJS.WriteStream, text: string): void {
  if (!closed.has(stream) && text !== '') stream.write(text)
}

let told = false
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    closed.add(stream)
    const gone = error.code === 'EPIPE'
    if (told || (stream === process.stderr && !gone)) return
    told = true
    if (gone) return onClosed(141)
    const known = writeError(error, 'standard output')
    onClosed(known instanceof WriteError ? 2 : 1, known instanceof Error ? known.message : String(known))
  })
}

function textOf(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

/** Whether bit 0, hang-up, is among the signals that a process ignores; on Linux. */
const ignoresHangUp = (pid: number | 'self'): boolean =>
  /^SigIgn:.*[13579bdf]$/m.test(textOf(() => readFileSync(`/proc/${pid}/status`, 'utf8')))

/**
 * Whether whoever started us wants hang-ups ignored. Node forgets it: it resets every signal when it starts. So this looks
 * for what else `nohup` leaves behind (its name as a shell's last command, an input that can only be written, nohup.out), and
 * for a parent that ignores hang-ups (`trap '' HUP`, or a script under nohup), from which we have it.
 */
function hangUpIgnored(): boolean {
  const onlyWritten = /^flags:.*1$/m.test(textOf(() => readFileSync('/proc/self/fdinfo/0', 'utf8')))
  const toNohup = [1, 2].some((fd) => basename(textOf(() => readlinkSync(`/proc/self/fd/${fd}`))) === 'nohup.out')
  const command = basename(process.env._ ?? '')
  return command === 'nohup' || onlyWritten || toNohup || ignoresHangUp('self') || ignoresHangUp(process.ppid)
}

const stopSignals: StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']
if (hangUpIgnored()) {
  stopSignals.pop()
  process.on('SIGHUP', () => {})
}

export const terminal: Terminal = {
  args: process.argv.slice(2),
  live: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
  colour: { out: coloured(process.stdout), err: coloured(process.stderr) },
  columns: () => process.stderr.columns || 80,
  async input(most) {
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > most) return undefined
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  },
  out: (text) => write(process.stdout, text),
  err: (text) => write(process.stderr, text),
  onStop(listener) {
    for (const signal of stopSignals) process.on(signal, listener)
    return () => {
      for (const signal of stopSignals) process.off(signal, listener)
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
