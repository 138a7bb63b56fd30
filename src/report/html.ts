// HTML as a tagged template that escapes every value put into it, unless it is HTML made here.
import { plain } from './format.ts'

/** Text known to be HTML. Only `html` and `trusted` make it. */
export class Html {
  constructor(readonly text: string) {}
}

/** Marks a string as HTML: for SVG that the chart library wrote and escaped, never for names. */
export const trusted = (text: string): Html => new Html(text)

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Text for an element's content or a quoted attribute. */
export const escapeHtml = (text: string): string => plain(text).replace(/[&<>"']/g, (char) => entities[char]!)

type Value = Html | string | number | undefined | Value[]

function write(value: Value): string {
  if (value === undefined) return ''
  if (Array.isArray(value)) return value.map(write).join('')
  return value instanceof Html ? value.text : escapeHtml(String(value))
}

/** html`<p>${name}</p>`: lists are joined, undefined is nothing, everything else is escaped. */
export function html(strings: TemplateStringsArray, ...values: Value[]): Html {
  return new Html(strings.reduce((text, part, i) => text + (i > 0 ? write(values[i - 1]) : '') + part, ''))
}
