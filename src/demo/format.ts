// Numbers and names as the page writes them.

/** `0.9234` as `92 %`. */
export const percent = (part: number): string => `${Math.round(part * 100)} %`

/** `1 picture`, `2 pictures`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`
}

/** Bytes in steps of 1000, as disks and networks count: `2.4 MB`. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`
  const units = ['kB', 'MB', 'GB']
  let value = count / 1000
  let i = 0
  for (; value >= 999.5 && i < units.length - 1; i++) value /= 1000
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[i]}`
}

/** A length of time in two words at most: `5 s`, `3 min`, `1 h 20 min`. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds))
  if (s < 90) return `${s} s`
  const minutes = Math.round(s / 60)
  if (minutes < 60) return `${minutes} min`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** Three digits that count: `0.0123`, `1.23`, `123`. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(6, digits))
}
