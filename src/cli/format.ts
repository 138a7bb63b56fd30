// Numbers and tables for people: 22.1 M, 1.2 GB, 3 min 20 s, aligned columns. No colour, no printing.

/** `22.1 M`; exact below 10 000. */
export function count(n: number): string {
  if (n < 10_000) return String(n)
  for (const [unit, size] of [
    ['G', 1e9],
    ['M', 1e6],
    ['k', 1e3],
  ] as const) {
    // 999 950 would be shown as 1000.0 k.
    if (n >= size * 0.99995) return `${(n / size).toFixed(1)} ${unit}`
  }
  return String(n)
}

/** `1.2 GB`, in powers of 1000. */
export function bytes(n: number): string {
  for (const [unit, size] of [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (n >= size * 0.99995) return `${(n / size).toFixed(1)} ${unit}`
  }
  return `${n} B`
}

/** `3 min 20 s`, `1 h 5 min`, `4.2 s`, `310 ms`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown'
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return whole % 60 === 0 ? `${minutes} min` : `${minutes} min ${whole % 60} s`
  const hours = Math.floor(minutes / 60)
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
}

/** `87.5 %` of a fraction. */
export function percent(fraction: number): string {
  const value = fraction * 100
  return `${value > 0 && value < 0.1 ? value.toPrecision(1) : value.toFixed(1)} %`
}

/** `1 image`, `3 images`, `2 classes`. */
export function plural(n: number, noun: string): string {
  return `${count(n)} ${n === 1 ? noun : noun.endsWith('s') ? `${noun}es` : `${noun}s`}`
}

/** Rows of cells as lines with aligned columns; `right` are the columns to align right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  return rows
    .map((row) =>
      row
        .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A command line argument as a POSIX shell wants it. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** One line without control characters: file names and messages of strangers must not steer the terminal. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').trim()
}
