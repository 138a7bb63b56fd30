// Settings of a run as YAML: read for --config, written for --print-config. The names are those of the settings.
import { isMap, isScalar, Lexer, LineCounter, parseDocument, stringify, visit, type YAMLMap } from 'yaml'
import { loraFields } from '../adapters/lora-config.ts'
import { localFiles } from '../io/local-files.ts'
import { InputError } from '../platform/errors.ts'
import { terminal } from '../platform/terminal-node.ts'
import type { TrainOptions } from '../run/train.ts'
import { checkRules, type Rule, shown } from '../schema/rules.ts'
import { groups, otherwiseOf, rulesOf, type Setting } from '../schema/setting.ts'
import { recipeSettings } from '../settings/recipes.ts'
import { settingRules, settings } from '../settings/schema.ts'
import { checkSettings, complete } from '../settings/setting-rules.ts'
import type { TrainSettings } from '../settings/settings.ts'

/** Bytes that settings may have, and depth: a table of positive weights by label is the longest and deepest thing in them. */
const most = 100_000
const deepest = 20

async function textOf(path: string): Promise<string> {
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

interface Parsed {
  readonly values: Readonly<Record<string, unknown>>
  /** 'settings.yaml: line 3: ', of a key there. */
  place(...path: string[]): string
}

function parse(text: string, name: string): Parsed {
  checkShape(text, name)
  const lines = new LineCounter()
  const document = parseDocument(text, { version: '1.2', schema: 'core', lineCounter: lines, prettyErrors: false })
  const at = (offset: number) => `${name}: line ${lines.linePos(offset).line}: `
  const [problem] = [...document.errors, ...document.warnings]
  if (problem?.code === 'MULTIPLE_DOCS') throw new InputError(`${at(problem.pos[0])}must be one document, got another`)
  if (problem) throw new InputError(`${at(problem.pos[0])}must be YAML; ${problem.message}`)
  visit(document, {
    Pair(_, { key }) {
      if (!isScalar(key)) throw new InputError(`${name}: must have texts as names, got a list or a table as one`)
    },
  })
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
    return { values: {}, place: () => `${name}: ` }
  if (!isMap(document.contents)) throw new InputError(`${name}: must hold settings by their names, one a line`)
  return {
    values: document.toJS() as Record<string, unknown>,
    place: (...path) => {
      const offset = offsetOf(document.contents as YAMLMap, path)
      return offset === undefined ? `${name}: ` : at(offset)
    },
  }
}

/** Where a key stands in the text. */
function offsetOf(map: YAMLMap, [name, ...rest]: string[]): number | undefined {
  const pair = map.items.find(({ key }) => isScalar(key) && String(key.value) === name)
  if (!pair || !isScalar(pair.key)) return undefined
  return rest.length > 0 && isMap(pair.value) ? offsetOf(pair.value, rest) : pair.key.range?.[0]
}

/** The settings in a text; `name` is what it is called in messages. Throws an InputError that names the line. */
export function parseConfig(text: string, name: string): Partial<TrainSettings> {
  const { values, place } = parse(text, name)
  const check = (
    table: Readonly<Record<string, unknown>>,
    rules: Readonly<Record<string, Rule>>,
    ...above: string[]
  ) => {
    for (const [key, value] of Object.entries(table)) {
      checkRules({ [key]: value }, rules, `${place(...above, key)}${above.map((one) => `${one}.`).join('')}`)
    }
  }
  check(values, settingRules)
  const { lora } = values as Partial<TrainSettings>
  if (lora) check({ ...lora }, rulesOf(loraFields), 'lora')
  checkSettings(values, `${name}: `)
  return values
}

/** Reads a file of settings, or the standard input for `-`. */
export const readConfig = async (path: string): Promise<Partial<TrainSettings>> =>
  parseConfig(await textOf(path), path === '-' ? 'standard input' : path)

/** A value on its line. */
const yamlOf = (value: unknown): string =>
  stringify(value, {
    version: '1.2',
    schema: 'core',
    collectionStyle: 'flow',
    blockQuote: false,
    lineWidth: 0,
  }).trimEnd()

/** These settings and all others that hold with them, as YAML that `parseConfig` reads. */
export function configText({ resume, acceptChanges: _, ...given }: Partial<TrainOptions>): string {
  if (resume) throw new InputError('--print-config: is for a new run; run.json has the settings of one that goes on')
  checkSettings(given)
  const all = complete(given, recipeSettings) as Readonly<Record<string, unknown>>
  const lines = groups.flatMap((group) => {
    const those = (Object.entries(settings) as [string, Setting][]).filter(([, setting]) => setting.group === group)
    return [`# ${group}`, ...those.map(([name, setting]) => lineOf(name, all[name], setting)), '']
  })
  return lines.join('\n').trimEnd()
}

function lineOf(name: string, value: unknown, setting: Setting): string {
  if (value !== undefined) return `${name}: ${yamlOf(value)}`
  const byRecipe = (recipeSettings as readonly string[]).includes(name)
  const otherwise = byRecipe ? 'as the recipe says' : otherwiseOf(setting)
  return `# ${name}:${otherwise === undefined ? '' : ` ${otherwise}`}`
}
