// Whether a whole name matches a regular expression, in time that grows with the product of their lengths and no faster.
// Patterns come with a stranger's adapter, and RegExp goes back over its choices: (a+)+$ on 60 letters would take it years.
// Here every pair of a state and a place is looked at once (Thompson 1968; R. Cox, swtch.com/~rsc/regexp/regexp1.html), since
// nobody asks what a group caught. Not here: back-references and look-behind, which are refused.
import { InputError } from '../platform/errors.ts'

/** One state: a character that must come, a check that takes none, or a choice; then what follows. */
type State =
  | { readonly kind: 'take'; readonly test: (character: string) => boolean; next: number }
  | { readonly kind: 'check'; readonly test: (name: string, at: number) => boolean; next: number }
  | { readonly kind: 'look'; readonly wanted: boolean; readonly start: number; next: number }
  | { readonly kind: 'choice'; readonly next: number; other: number }
  | { readonly kind: 'end' }

/** Puts a part's states before the state `next`; the number of the first. */
type Part = (next: number) => number

const longest = 1000
const mostStates = 4000

/** How much work expressions may still make, in states looked at; shared by all of one configuration. */
export interface Work {
  left: number
}

/** Work for a quarter of a second or so: hundreds of times what usual expressions take for the names of a large model. */
export const someWork = (): Work => ({ left: 10_000_000 })

/** A state costs this much to make: they are objects, and stay. */
const stateCost = 100

/** Whether a character is what a token stands for. */
function meaning(token: string): (character: string) => boolean {
  const literal = /^\\?([^\w\\])$/.exec(token)?.[1] ?? token
  if (token !== '.' && literal.length === 1) return (character) => character === literal
  const fits = new RegExp(`^${token}$`)
  return (character) => fits.test(character)
}

const isWord = (name: string, at: number) => /\w/.test(name.charAt(at))
const checks: Record<string, (name: string, at: number) => boolean> = {
  '^': (_, at) => at === 0,
  $: (name, at) => at === name.length,
  '\\b': (name, at) => isWord(name, at - 1) !== isWord(name, at),
  '\\B': (name, at) => isWord(name, at - 1) === isWord(name, at),
}

// What stands for one character, an assertion, the start of a group, and how often something comes.
const one = /\[\^?(?:\\.|[^\\\]])*\]|\\[dDwWsStnrfv]|\\[^\w]|[^\\^$.|?*+()[\]{}]|[\].{}]/y
const assertion = /\^|\$|\\[bB]/y
const opening = /\((?:\?(?:(?:<\w+>)|([:=!])))?(?!\?)/y
const often = /(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/y

/** Whether a name, or its ending after a dot, matches an expression: PEFT's `(.*\.)?(KEY)$`. Throws as `wholeMatch` does. */
export function endMatch(given: string, what: string, work: Work = someWork()): (name: string) => boolean {
  if (!/^[\w.-]*$/.test(given)) return wholeMatch(given, what, work, '(?:.*\\.)?')
  // Without signs of its own but the dot, which stands for any character: no states are needed, and there may be thousands.
  return (name) => {
    const from = name.length - given.length
    if (from < 0 || (from > 0 && name[from - 1] !== '.')) return false
    for (let i = 0; i < given.length; i++) if (given[i] !== '.' && given[i] !== name[from + i]) return false
    return true
  }
}

/**
 * Compiles a regular expression; `before`, one of ours, is to come before it. Throws an InputError that starts with `what`
 * where it is none, asks for what is not offered, or where no work is left, now or when a name is compared.
 */
export function wholeMatch(
  given: string,
  what: string,
  work: Work = someWork(),
  before = '',
): (name: string) => boolean {
  const refuse = (rule: string): never => {
    throw new InputError(`${what}: must be ${rule}, got ${JSON.stringify(given.slice(0, 100))}`)
  }
  const spend = (amount: number) => {
    work.left -= amount
    if (work.left < 0) refuse('fewer or simpler regular expressions: all together these take too long')
  }
  if (given.length > longest) refuse(`a regular expression of at most ${longest} characters`)
  try {
    new RegExp(given)
  } catch {
    refuse('a regular expression')
  }
  const source = `${before}(?:${given})`
  const states: State[] = [{ kind: 'end' }]
  const put = (state: State): number => {
    if (states.length >= mostStates) refuse('a regular expression that repeats less')
    spend(stateCost)
    return states.push(state) - 1
  }

  /** A state of its own even so: what is repeated is counted in states. */
  const nothing: Part = (next) => put({ kind: 'choice', next, other: next })

  let at = 0
  const take = (token: RegExp): RegExpExecArray | null => {
    token.lastIndex = at
    const found = token.exec(source)
    if (found) at = token.lastIndex
    return found
  }

  function alternatives(): Part {
    const parts = [sequence()]
    while (source[at] === '|') {
      at++
      parts.push(sequence())
    }
    return (next) =>
      parts.map((part) => part(next)).reduceRight((other, first) => put({ kind: 'choice', next: first, other }))
  }

  function sequence(): Part {
    const parts: Part[] = []
    while (at < source.length && source[at] !== '|' && source[at] !== ')') parts.push(repeated(atom()))
    if (parts.length === 0) return nothing
    return (next) => parts.reduceRight((after, part) => part(after), next)
  }

  function atom(): Part {
    const check = take(assertion)
    if (check) return (next) => put({ kind: 'check', test: checks[check[0]]!, next })
    const group = take(opening)
    if (group) {
      const inner = alternatives()
      at++ // the bracket that closes it
      const look = group[1]
      if (look !== '=' && look !== '!') return inner
      return (next) => put({ kind: 'look', wanted: look === '=', start: inner(0), next })
    }
    const token = take(one)?.[0] ?? refuse('a regular expression without back-references and look-behind')
    const test = meaning(token)
    return (next) => put({ kind: 'take', test, next })
  }

  function repeated(part: Part): Part {
    const found = take(often)
    if (!found) return part
    const [, sign, low, comma, high] = found
    const least = sign ? Number(sign === '+') : Number(low)
    const most = sign === '?' ? 1 : sign || (comma && !high) ? Number.POSITIVE_INFINITY : comma ? Number(high) : least
    if (most === 0) return nothing
    return (next) => {
      let first = next
      let copies = least
      if (most === Number.POSITIVE_INFINITY) {
        const loop = { kind: 'choice' as const, next, other: 0 }
        first = put(loop)
        loop.other = part(first)
        if (copies-- > 0) first = loop.other
      } else {
        for (let i = least; i < most; i++) first = put({ kind: 'choice', next, other: part(first) })
      }
      for (; copies > 0; copies--) first = part(first)
      return first
    }
  }

  const start = alternatives()(put({ kind: 'check', test: checks.$!, next: 0 }))

  return (name) => {
    const looks = new Map<number, boolean>()
    /** Whether the end is reached from a state at a place. */
    function reaches(from: number, place: number): boolean {
      spend(states.length >> 4)
      const seen = new Int32Array(states.length).fill(-1)
      let open = [from]
      for (let i = place; open.length > 0; i++) {
        const later: number[] = []
        for (let number = open.pop(); number !== undefined; number = open.pop()) {
          if (seen[number] === i) continue
          seen[number] = i
          spend(1)
          const state = states[number]!
          if (state.kind === 'end') return true
          if (state.kind === 'choice') open.push(state.next, state.other)
          else if (state.kind === 'take') {
            if (i < name.length && state.test(name[i]!)) later.push(state.next)
          } else if (state.kind === 'check') {
            if (state.test(name, i)) open.push(state.next)
          } else {
            const key = number * (name.length + 1) + i
            const found = looks.get(key) ?? reaches(state.start, i)
            looks.set(key, found)
            if (found === state.wanted) open.push(state.next)
          }
        }
        open = later
      }
      return false
    }
    return reaches(start, 0)
  }
}
