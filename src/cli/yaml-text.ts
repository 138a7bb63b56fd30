// YAML of strangers as plain values that know their lines: bounded in size and depth, without aliases, tags or other documents.
// Not here: what the values mean (config-file.ts).
import { type Document, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument, visit } from 'yaml'
import { localFiles } from '../io/local-files.ts'
import { InputError } from '../platform/errors.ts'
import { terminal } from '../platform/terminal-node.ts'
import { shown } from '../schema/rules.ts'

/** Bytes that settings may have, and depth: a table of positive weights by label is the longest and deepest thing in them. */
const most = 100_000
const deepest = 20

/** The text of a file of settings, or of the standard input for `-`. */
export async function textOf(path: string): Promise<string> {
  const tooLong = (size: number | string) => new InputError(`${path}: may hold ${most} bytes of settings, got ${size}`)
  let bytes: Uint8Array
  if (path === '-') {
    const given = await terminal.input(most)
    if (!given) throw tooLong('more')
    bytes = given
  } else {
    const files = localFiles(path)
    const kind = await files.kind(path)
    if (kind !== 'file') throw new InputError(`--config: must be a file, got ${kind ? `the ${kind} ${path}` : path}`)
    const size = (await files.size(path)) ?? 0
    if (size > most) throw tooLong(size)
    bytes = await files.read(path)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new InputError(`${path}: must hold YAML, got bytes that are no UTF-8`)
  }
}

/**
 * Refuses lists in lists without end, which a parser follows until its stack is full, and aliases, of which a few hundred
 * keep it for minutes.
 */
function checkShape(text: string, name: string): void {
  let [brackets, dashes, before] = [0, 0, '']
  for (const token of new Lexer().lex(text)) {
    if (token.startsWith('*') && before !== PLAIN) {
      throw new InputError(`${name}: may have no aliases, got ${shown(token)}; write it out`)
    }
    before = token
    if (token === '[' || token === '{') brackets++
    else if (token === ']' || token === '}') brackets--
    else if (token === '\n') dashes = 0
    else if (token === '-' || token === '?') dashes++
    if (Math.max(brackets, dashes) > deepest) {
      throw new InputError(`${name}: YAML may be nested ${deepest} deep, got more`)
    }
  }
}

/** What the lexer puts before a text without quotes. */
const PLAIN = '\u001f'

export interface Parsed {
  readonly values: Readonly<Record<string, unknown>>
  /** 'settings.yaml: line 3: ', of a key there, or of as much of its path as is there. */
  place(...path: (string | number)[]): string
  /** How many keys of a path are there. */
  found(path: readonly (string | number)[]): number
}

/** Parses a table of values by name. Throws an InputError that names the line. */
export function parseYaml(text: string, name: string): Parsed {
  checkShape(text, name)
  const lines = new LineCounter()
  const document = parseDocument(text, { version: '1.2', schema: 'core', lineCounter: lines, prettyErrors: false })
  const at = (offset: number) => `${name}: line ${lines.linePos(offset).line}: `
  const [problem] = [...document.errors, ...document.warnings]
  if (problem?.code === 'MULTIPLE_DOCS') throw new InputError(`${at(problem.pos[0])}must be one document, got another`)
  if (problem) throw new InputError(`${at(problem.pos[0])}must be YAML; ${problem.message}`)
  checkNodes(document, name)
  const { contents } = document
  if (contents === null || (isScalar(contents) && contents.value === null))
    return { values: {}, place: () => `${name}: `, found: () => 0 }
  if (!isMap(contents)) throw new InputError(`${name}: must hold settings by their names, one a line`)
  return {
    values: document.toJS() as Record<string, unknown>,
    place: (...path) => {
      const { offset } = follow(contents, path)
      return offset === undefined ? `${name}: ` : at(offset)
    },
    found: (path) => follow(contents, path).steps,
  }
}

/** Refuses tags, which make other things of a value than it shows, and names that are no texts. */
function checkNodes(document: Document, name: string): void {
  visit(document, {
    Pair(_, { key }) {
      if (!isScalar(key)) throw new InputError(`${name}: must have texts as names, got a list or a table as one`)
    },
    Node(_, { tag }) {
      if (tag) throw new InputError(`${name}: may have no tags, got ${shown(tag)}; take it out`)
    },
  })
}

/** Where a path ends in the text: the place of the last of its keys that are there, and how many are. */
function follow(node: unknown, path: readonly (string | number)[]): { offset?: number; steps: number } {
  let [offset, steps]: [number | undefined, number] = [undefined, 0]
  for (const key of path) {
    const pair = isMap(node)
      ? node.items.find((one) => isScalar(one.key) && String(one.key.value) === String(key))
      : undefined
    const next: unknown = isSeq(node) ? node.items[Number(key)] : pair?.value
    const start = isSeq(node)
      ? (next as { range?: number[] } | undefined)?.range?.[0]
      : isScalar(pair?.key)
        ? pair.key.range?.[0]
        : undefined
    if (start === undefined) break
    ;[node, offset, steps] = [next, start, steps + 1]
  }
  return { ...(offset === undefined ? {} : { offset }), steps }
}

/** A value as a flag gives it: a YAML scalar or a list or table in brackets; `a,b` is a list too, and nothing is an empty text. */
export function parseValue(text: string, name: string): unknown {
  if (text.trim() === '') return ''
  if (text.length > most) throw new InputError(`${name}: may have ${most} letters, got ${text.length}`)
  const listed = /^[^[\]{}"'#:,]+(,[^[\]{}"'#:,]+)+$/.test(text) ? `[${text}]` : text
  checkShape(listed, name)
  const document = parseDocument(listed, { version: '1.2', schema: 'core', prettyErrors: false })
  const [problem] = [...document.errors, ...document.warnings]
  if (problem) throw new InputError(`${name}: must be a value of YAML; ${problem.message}`)
  checkNodes(document, name)
  return document.toJS()
}
