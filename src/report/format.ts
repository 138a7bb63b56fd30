// Numbers and names as a person reads them; the same in the page, the charts and the terminal.

import { comparedAs } from '../adapters/methods.ts'

/** How a method is written: known ones by their usual name, others as they came. */
export const methodName = (method: string): string => comparedAs(method)?.title ?? method

const metrics: Record<string, { name: string; says: string }> = {
  f1: { name: 'F1', says: 'F1 is the harmonic mean of precision and recall, averaged over labels' },
  map: { name: 'mAP', says: 'mAP is the average precision, averaged over labels' },
  h_f1: { name: 'h-F1', says: 'h-F1 is the F1 of all labels on the paths from the root, all images together' },
}

const known = (metric: string) => (Object.hasOwn(metrics, metric) ? metrics[metric] : undefined)

/** How a metric is written: known ones by their usual name, others as they came. */
export const metricName = (metric: string): string => known(metric)?.name ?? metric

/** What these metrics are, in sentences; nothing where their names say it. */
export const metricsSay = (metrics: readonly string[]): string =>
  [...new Set(metrics)]
    .flatMap((metric) => known(metric)?.says ?? [])
    .map((says) => ` ${says}.`)
    .join('')

/** The same at the start of a heading or an axis. */
export const metricTitle = (metric: string): string =>
  metricName(metric).replace(/^[a-z](?=[a-z]{2})/, (c) => c.toUpperCase())

/** `0.5321` as `53.2 %`, with its spread `53.2 ± 1.1 %`. */
export function percent(share: number, spread?: number): string {
  return `${(100 * share).toFixed(1)}${spread === undefined ? '' : ` ± ${(100 * spread).toFixed(1)}`} %`
}

/** A share of parameters: `0.9 %`, `< 0.1 %`, `100 %`. */
export function share(part: number, whole: number): string {
  if (whole <= 0) return ''
  const value = (100 * part) / whole
  if (value > 0 && value < 0.1) return '< 0.1 %'
  return `${value.toFixed(value < 99.95 ? 1 : 0)} %`
}

/** `1234567` as `1,234,567`. */
export const count = (n: number): string => Math.round(n).toLocaleString('en-US')

/** `1234567` as `1.23 M`: three digits. */
export function shortCount(n: number): string {
  for (const [size, unit] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (n >= 0.9995 * size) return `${Number((n / size).toPrecision(3))} ${unit}`
  }
  return String(Math.round(n))
}

/** Bytes in decimal units: `128 MB`, `1.46 GB`. */
export function bytes(n: number): string {
  if (n >= 0.9995e9) return `${(n / 1e9).toFixed(2)} GB`
  if (n >= 0.9995e6) return `${(n / 1e6).toFixed(n < 9.95e6 ? 1 : 0)} MB`
  return `${(n / 1e3).toFixed(0)} kB`
}

/** `4.1 s`, `75 s`, `5 min 03 s`. */
export function seconds(s: number): string {
  if (s < 59.95) return `${s.toFixed(1)} s`
  const whole = Math.round(s)
  if (whole < 120) return `${whole} s`
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
}

/** `a`, `a and b`, `a, b and c`. */
export function list(words: string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

// Control characters move a terminal's cursor, bidirectional ones swap what is read; names may hold both.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const unsafe = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** Text with control and direction characters replaced by a space, safe on a terminal and in XML. */
export const plain = (text: string): string => text.replace(unsafe, ' ')
