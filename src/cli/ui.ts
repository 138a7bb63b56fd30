// What a verb prints: results on standard output; notes, progress and errors on standard error. One line at the bottom
// shows progress where standard error is a terminal and is not there otherwise.
import { type Terminal, terminal } from '../platform/terminal-node.ts'
import { oneLine } from './format.ts'

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const
type Style = keyof typeof codes
export type Paint = (style: Style, text: string) => string

export interface Ui {
  /** Whether the progress line is shown; without it, say less often what is going on. */
  readonly live: boolean
  readonly out: Paint
  readonly err: Paint
  /** A result, with a line break. */
  result(text: string): void
  /** A result as one line of JSON, or as indented JSON. */
  json(value: unknown, indent?: number): void
  /** A line on standard error. */
  note(text: string): void
  /** Shows the progress line, at most every 80 ms; does nothing where standard error is no terminal. */
  progress(line: (columns: number) => string): void
  /** Takes the progress line away. */
  clear(): void
}

/** `colour: false` switches it off whatever the terminal can. */
export function createUi(options: { colour?: boolean } = {}, to: Terminal = terminal): Ui {
  const paint =
    (on: boolean): Paint =>
    (style, text) =>
      on && options.colour !== false ? `\x1b[${codes[style]}m${text}\x1b[0m` : text
  let shown = ''
  let last = Number.NEGATIVE_INFINITY
  const erase = () => {
    if (shown) to.err('\r\x1b[K')
  }
  const draw = () => {
    if (shown) to.err(`\r${shown}\x1b[K`)
  }
  return {
    live: to.live,
    out: paint(to.colour.out),
    err: paint(to.colour.err),
    result(text) {
      erase()
      to.out(`${text}\n`)
      draw()
    },
    json: (value, indent) => to.out(`${JSON.stringify(value, null, indent)}\n`),
    note(text) {
      erase()
      to.err(`${text}\n`)
      draw()
    },
    progress(line) {
      const now = performance.now()
      if (!to.live || now - last < 80) return
      last = now
      // A line as wide as the terminal would wrap, and could then not be overwritten.
      const columns = Math.max(20, to.columns()) - 1
      shown = oneLine(line(columns)).slice(0, columns)
      draw()
    },
    clear() {
      erase()
      shown = ''
      last = Number.NEGATIVE_INFINITY
    },
  }
}

/** `[=======>      ]` of a fraction in [0, 1]. */
export function bar(fraction: number, width = 24): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction || 0)) * width)
  const head = full > 0 && full < width ? '>' : ''
  return `[${'='.repeat(full - head.length)}${head}${' '.repeat(width - full)}]`
}
