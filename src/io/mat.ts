// MATLAB's files of version 5 to 7.2 (MAT-File Level 5, mathworks.com "MAT-File Format", chapter 1), as far as tables of
// labels need them: numbers, text, cells and structs, plain or deflated. Not here: version 7.3, which is HDF5, sparse
// matrices, objects and functions. Everything is bounded, since such files come from strangers.
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'

/** Numbers in MATLAB's order, columns first. */
export interface MatNumbers {
  readonly kind: 'numbers'
  readonly values: readonly number[]
}
/** Text in one line. */
export interface MatText {
  readonly kind: 'text'
  readonly text: string
}
/** Values of any kind, columns first. */
export interface MatCells {
  readonly kind: 'cells'
  readonly cells: readonly MatValue[]
}
/** A struct array: an entry a row, columns first. */
export interface MatStructs {
  readonly kind: 'structs'
  readonly fields: readonly string[]
  readonly rows: readonly ReadonlyMap<string, MatValue>[]
}
/** What a variable may be. */
export type MatValue = MatNumbers | MatText | MatCells | MatStructs

/** Bytes of a file, and of what it inflates to; values in it; how deep they may lie. Stanford Cars has 16,185 structs of 7 fields. */
const limits = { bytes: 64_000_000, values: 8_000_000, depth: 8 }

/** Bytes a number, by the type of a data element. */
const sizes: Readonly<Record<number, number>> = {
  1: 1,
  2: 1,
  3: 2,
  4: 2,
  5: 4,
  6: 4,
  7: 4,
  9: 8,
  12: 8,
  13: 8,
  16: 1,
  17: 2,
}
const MATRIX = 14
const COMPRESSED = 15
const kinds: Readonly<Record<number, string>> = {
  3: 'an object',
  5: 'a sparse matrix',
  16: 'a function',
  17: 'an object',
}

interface Element {
  readonly type: number
  readonly from: number
  readonly to: number
}

/** Reads elements one after another; a tag that leads out of the bytes is refused. */
class Cursor {
  constructor(
    readonly view: DataView,
    readonly little: boolean,
    readonly name: string,
    public at: number,
    readonly end: number,
    /** Values that may still come, in the whole file. */
    readonly left: { values: number },
  ) {}

  fail(got: string): never {
    throw new InputError(`${this.name}: must be a MATLAB file of version 5 to 7.2, got ${got}; save it anew`)
  }

  next(): Element {
    const { view, little, end } = this
    if (this.at + 8 > end) this.fail('one that is cut short')
    const word = view.getUint32(this.at, little)
    // Elements of four bytes or fewer stand in the tag itself.
    if (word >>> 16 !== 0) {
      const [type, size] = [word & 0xffff, word >>> 16]
      if (size > 4) this.fail(`a small element of ${size} bytes`)
      const from = this.at + 4
      this.at += 8
      return { type, from, to: from + size }
    }
    const from = this.at + 8
    const to = from + view.getUint32(this.at + 4, little)
    if (to > end) this.fail('an element that is longer than its file')
    // What is deflated is the one that fills up to no whole 8 bytes; the last one may end where the file does.
    this.at = word === COMPRESSED ? to : Math.min(end, from + Math.ceil((to - from) / 8) * 8)
    return { type: word, from, to }
  }

  /** The cursor of what is inside an element. */
  within({ from, to }: Element): Cursor {
    return new Cursor(this.view, this.little, this.name, from, to, this.left)
  }

  numbers({ type, from, to }: Element): number[] {
    const { view, little } = this
    const size = sizes[type]
    if (size === undefined) this.fail(`numbers of type ${type}`)
    const read: Readonly<Record<number, (at: number) => number>> = {
      1: (at) => view.getInt8(at),
      3: (at) => view.getInt16(at, little),
      5: (at) => view.getInt32(at, little),
      6: (at) => view.getUint32(at, little),
      7: (at) => view.getFloat32(at, little),
      9: (at) => view.getFloat64(at, little),
      12: (at) => Number(view.getBigInt64(at, little)),
      13: (at) => Number(view.getBigUint64(at, little)),
    }
    const one =
      read[type] ?? (size === 1 ? (at: number) => view.getUint8(at) : (at: number) => view.getUint16(at, little))
    const count = Math.floor((to - from) / size)
    this.take(count)
    return Array.from({ length: count }, (_, i) => one(from + i * size))
  }

  text({ type, from, to }: Element): string {
    const { buffer, byteOffset } = this.view
    const bytes = new Uint8Array(buffer as ArrayBuffer, byteOffset + from, to - from)
    // A byte a letter (Latin 1, as MATLAB takes it) where the type says numbers of one byte, else UTF-8 or 16 bits a letter.
    if (type === 16) return new TextDecoder().decode(bytes)
    return this.numbers({ type, from, to })
      .map((code) => String.fromCharCode(code))
      .join('')
  }

  take(count: number): void {
    this.left.values -= count
    if (this.left.values >= 0) return
    throw new InputError(`${this.name}: may hold ${limits.values} values, got more`)
  }
}

/** The name of a matrix and its value; undefined where it is of a kind that is not read. */
function matrix(inside: Cursor, depth: number): { name: string; value?: MatValue; what?: string } {
  if (inside.at === inside.end) return { name: '', value: { kind: 'numbers', values: [] } }
  if (depth > limits.depth) inside.fail(`values that lie deeper than ${limits.depth}`)
  inside.take(1)
  const [flags = 0] = inside.numbers(inside.next())
  const kind = flags & 0xff
  // What is opaque has no sizes, so that its name cannot be found either.
  if (kind === 17) return { name: '', what: kinds[kind]! }
  const dims = inside.numbers(inside.next())
  const name = inside.text(inside.next())
  const count = dims.reduce((product, size) => product * size, 1)
  if (dims.length < 2 || !(count >= 0)) inside.fail(`sizes ${listed(dims.map(String))}`)
  const child = (): MatValue => {
    const element = inside.next()
    if (element.type !== MATRIX) inside.fail(`an element of type ${element.type} where a value belongs`)
    const { value, what } = matrix(inside.within(element), depth + 1)
    return value ?? inside.fail(`${what} in ${name || 'a value'}`)
  }
  /** Each value takes eight bytes and more: what says that it has more of them lies. */
  const several = (each: number): number => {
    if (count * each * 8 > inside.end - inside.at) inside.fail(`${count} values in ${inside.end - inside.at} bytes`)
    return count
  }
  if (kind === 1) return { name, value: { kind: 'cells', cells: Array.from({ length: several(1) }, child) } }
  if (kind === 2) {
    const [width = 0] = inside.numbers(inside.next())
    const names = inside.text(inside.next())
    if (!(width >= 1 && width <= 64) || names.length % width !== 0) inside.fail(`names of fields ${width} letters long`)
    const fields = Array.from({ length: names.length / width }, (_, i) =>
      names.slice(i * width, (i + 1) * width).replace(/\0.*$/s, ''),
    )
    const all = fields.length === 0 ? 0 : several(fields.length)
    const row = () => new Map(fields.map((field) => [field, child()]))
    return { name, value: { kind: 'structs', fields, rows: Array.from({ length: all }, row) } }
  }
  if (kind === 4) {
    const text = count === 0 ? '' : inside.text(inside.next())
    return { name, value: { kind: 'text', text } }
  }
  if (kind < 6 || kind > 15) return { name, what: kinds[kind] ?? `a value of class ${kind}` }
  const values = count === 0 ? [] : inside.numbers(inside.next())
  if (values.length !== count) inside.fail(`${values.length} numbers where its sizes say ${count}`)
  return { name, value: { kind: 'numbers', values } }
}

async function inflated(bytes: Uint8Array<ArrayBuffer>, name: string, room: number): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = []
  let length = 0
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'))
    for (const reader = stream.getReader(); ; ) {
      const { done, value } = await reader.read()
      if (done) break
      length += value.length
      if (length > room) {
        await reader.cancel()
        break
      }
      parts.push(value)
    }
  } catch {
    throw new InputError(
      `${name}: must be a MATLAB file of version 5 to 7.2, got one that cannot be inflated; copy it anew`,
    )
  }
  if (length > room) throw new InputError(`${name}: may inflate to ${limits.bytes} bytes, got more`)
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/**
 * The variables of a MATLAB file by name; `name` is the file, for messages. Variables of kinds that are not read (sparse,
 * objects, functions) are left out. Throws an InputError on version 7.3, and on what is no such file or too large for one of labels.
 */
export async function readMat(bytes: Uint8Array<ArrayBuffer>, name: string): Promise<Map<string, MatValue>> {
  if (bytes.length > limits.bytes) throw new InputError(`${name}: may hold ${limits.bytes} bytes, got ${bytes.length}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const mark = bytes.length >= 128 ? String.fromCharCode(bytes[126]!, bytes[127]!) : ''
  const little = mark === 'IM'
  const left = { values: limits.values }
  const top = new Cursor(view, little, name, 128, bytes.length, left)
  if (!little && mark !== 'MI') top.fail('other bytes')
  const version = view.getUint16(124, little)
  if (version === 0x200) {
    throw new InputError(`${name}: must be a MATLAB file of version 5 to 7.2, got 7.3 (HDF5); save it with -v7`)
  }
  if (version !== 0x100) top.fail(`version 0x${version.toString(16)}`)
  const found = new Map<string, MatValue>()
  let room = limits.bytes
  while (top.at < top.end) {
    const element = top.next()
    let inside = top.within(element)
    if (element.type === COMPRESSED) {
      const plain = await inflated(bytes.slice(element.from, element.to), name, room)
      room -= plain.length
      const inner = new DataView(plain.buffer)
      const cursor = new Cursor(inner, little, name, 0, plain.length, left)
      const whole = cursor.next()
      if (whole.type !== MATRIX) continue
      inside = cursor.within(whole)
    } else if (element.type !== MATRIX) continue
    const variable = matrix(inside, 1)
    if (variable.value && variable.name !== '') found.set(variable.name, variable.value)
  }
  return found
}
