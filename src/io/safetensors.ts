// Reading safetensors: an 8-byte little-endian header length, a JSON header, then raw little-endian data without holes.
// The header is checked as the Rust library does before a byte of data is read. Writing is in safetensors-write.ts.
import { InputError } from '../platform/errors.ts'
import { sameShape, showShape } from '../tensor/shape.ts'
import { fromBf16, fromF16 } from './half.ts'
import { isRecord, jsonLimit, parseJson } from './json.ts'
import { localFiles } from './local-files.ts'

/** Bytes per element of every dtype that can be read. */
export const dtypeSizes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const

/** A dtype as safetensors spells it. */
export type StoredDtype = keyof typeof dtypeSizes

/** What weights are stored as: numbers as they are. Whole ones are codes of some quantisation. */
const weightTypes: readonly StoredDtype[] = ['F32', 'F16', 'BF16', 'F64']

/** Throws an InputError unless a tensor holds weights of exactly this shape; `what` is the tensor, `why` whose word the shape is. */
export function checkWeights(what: string, { shape, dtype }: TensorInfo, wanted: readonly number[], why = ''): void {
  if (!sameShape(shape, wanted)) {
    throw new InputError(`${what} must be ${showShape(wanted)}${why}, got ${showShape(shape)}`)
  }
  if (!weightTypes.includes(dtype)) {
    throw new InputError(`${what} must be of ${weightTypes.join(', ')}, got ${dtype}; quantised weights are not read`)
  }
}

/** One tensor's entry in the header. */
export interface TensorInfo {
  readonly dtype: StoredDtype
  readonly shape: readonly number[]
}

interface Entry extends TensorInfo {
  readonly begin: number
  readonly end: number
}

/** An open safetensors file: its header is known and checked, its data is read on demand. */
export interface SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>
  /** Names in the order of their data. */
  names(): string[]
  has(name: string): boolean
  /** Throws an InputError when there is no such tensor. */
  info(name: string): TensorInfo
  /** The tensor's values as f32, row by row, in an array of its own. Exact for F32, F16, BF16 and small integers. */
  read(name: string): Promise<Float32Array<ArrayBuffer>>
  /** The tensor's bytes as they are stored, little-endian, from byte `from` to before `to` (default: all); a view of its own. */
  bytes(name: string, from?: number, to?: number): Promise<Uint8Array>
}

type ReadRange = (offset: number, length: number) => Promise<Uint8Array>

function headerLength(first: Uint8Array, size: number, label: string): number {
  if (size < 8) {
    throw new InputError(`${label}: a safetensors file starts with 8 length bytes, got a file of ${size} bytes`)
  }
  const view = new DataView(first.buffer, first.byteOffset, 8)
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32
  if (length > jsonLimit) {
    throw new InputError(`${label}: the header may have ${jsonLimit} bytes, got ${length}; this is no safetensors file`)
  }
  if (length < 2 || 8 + length > size) {
    throw new InputError(
      `${label}: the header needs ${8 + length} bytes, the file has ${size}; it is cut short or no safetensors file`,
    )
  }
  return length
}

/** A key that stands twice in the outermost object of valid JSON, which JSON.parse would pass over in silence. */
function duplicateKey(text: string): string | undefined {
  const seen = new Set<string>()
  let depth = 0
  let last = ''
  // A string before a colon at depth 1 is a name.
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '"') {
      const from = i
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++
      if (depth === 1) last = text.slice(from, i + 1)
    } else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') depth--
    else if (char === ':' && depth === 1) {
      const key: string = JSON.parse(last)
      if (seen.has(key)) return key
      seen.add(key)
    }
  }
  return undefined
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

function parseEntry(name: string, value: unknown, label: string): Entry {
  const fail = (rule: string): never => {
    throw new InputError(`${label}: tensor "${name}" ${rule}, got ${JSON.stringify(value)?.slice(0, 100)}`)
  }
  if (!isRecord(value)) return fail('must be an object')
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string' || !Object.hasOwn(dtypeSizes, dtype)) {
    return fail(`must have a dtype of ${Object.keys(dtypeSizes).join(', ')}`)
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail('must have a shape of whole sizes')
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return fail('must have two data_offsets')
  }
  const stored = dtype as StoredDtype
  const sizes = shape as number[]
  const [begin, end] = offsets as [number, number]
  let bytes: number = dtypeSizes[stored]
  for (const n of sizes) {
    bytes *= n
    if (!Number.isSafeInteger(bytes)) return fail('must have a size that fits a file')
  }
  if (end - begin !== bytes) return fail(`of ${bytes} bytes must have data_offsets that far apart`)
  return { dtype: stored, shape: sizes, begin, end }
}

interface Header {
  entries: Map<string, Entry>
  metadata: Record<string, string>
}

function isTextRecord(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === 'string')
}

function parseHeader(bytes: Uint8Array, dataBytes: number, label: string): Header {
  if (bytes[0] !== 0x7b) throw new InputError(`${label}: the header must start with "{"; this is no safetensors file`)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new InputError(`${label}: the header must be UTF-8`)
  }
  const json = parseJson(text, `${label} header`)
  if (!isRecord(json)) throw new InputError(`${label}: the header must be a JSON object`)
  const twice = duplicateKey(text)
  if (twice !== undefined) throw new InputError(`${label}: names must differ, got "${twice}" twice`)

  const { __metadata__: metadata = {}, ...rest } = json
  if (!isTextRecord(metadata)) throw new InputError(`${label}: __metadata__ must hold text by name`)
  const list = Object.entries(rest).map(([name, value]): [string, Entry] => [name, parseEntry(name, value, label)])
  // Ends break the tie, so that an empty tensor comes before the one that starts where it lies.
  list.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)
  let at = 0
  for (const [name, { begin, end }] of list) {
    if (end > dataBytes) {
      throw new InputError(
        `${label}: tensor "${name}" ends at byte ${end} of the data, the file has ${dataBytes}: ${end - dataBytes} bytes ` +
          'are missing; download or copy it again',
      )
    }
    if (begin !== at) {
      const how = begin < at ? 'overlaps the one before' : 'leaves a hole before it'
      throw new InputError(`${label}: tensor "${name}" ${how}: it starts at byte ${begin}, expected ${at}`)
    }
    at = end
  }
  if (at !== dataBytes) {
    throw new InputError(`${label}: the tensors end at byte ${at} of the data, got ${dataBytes} bytes`)
  }
  return { entries: new Map(list), metadata }
}

/** f32 values of raw little-endian data; `bytes` must own its buffer from byte 0 (it becomes the result where it can). */
function toF32(bytes: Uint8Array<ArrayBuffer>, dtype: StoredDtype): Float32Array<ArrayBuffer> {
  const { buffer } = bytes
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer)
    case 'F16':
      return fromF16(new Uint16Array(buffer))
    case 'BF16':
      return fromBf16(new Uint16Array(buffer))
    case 'F64':
      return new Float32Array(new Float64Array(buffer))
    case 'I32':
      return new Float32Array(new Int32Array(buffer))
    case 'U32':
      return new Float32Array(new Uint32Array(buffer))
    case 'I16':
      return new Float32Array(new Int16Array(buffer))
    case 'U16':
      return new Float32Array(new Uint16Array(buffer))
    case 'I8':
      return new Float32Array(new Int8Array(buffer))
    case 'U8':
    case 'BOOL':
      return new Float32Array(bytes)
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer), Number)
    case 'U64':
      return Float32Array.from(new BigUint64Array(buffer), Number)
  }
}

async function open(readRange: ReadRange, size: number, label: string): Promise<SafetensorsFile> {
  const length = headerLength(size < 8 ? new Uint8Array(8) : await readRange(0, 8), size, label)
  const start = 8 + length
  const { entries, metadata } = parseHeader(await readRange(8, length), size - start, label)
  const entry = (name: string): Entry => {
    const found = entries.get(name)
    if (!found) throw new InputError(`${label}: no tensor "${name}" among its ${entries.size}`)
    return found
  }
  return {
    metadata,
    names: () => [...entries.keys()],
    has: (name) => entries.has(name),
    info(name) {
      const { dtype, shape } = entry(name)
      return { dtype, shape }
    },
    async read(name) {
      const { dtype, begin, end } = entry(name)
      const bytes = await readRange(start + begin, end - begin)
      return toF32(bytes.byteOffset === 0 && ownsBuffer(bytes) ? bytes : new Uint8Array(bytes), dtype)
    },
    async bytes(name, from = 0, to) {
      const { begin, end } = entry(name)
      return readRange(start + begin + from, Math.min(end - begin, to ?? end - begin) - from)
    },
  }
}

function ownsBuffer(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.length
}

/** Opens a safetensors file and checks its header; throws an InputError that names the file and what is wrong. */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const files = localFiles(path)
  if ((await files.kind(path)) !== 'file') throw new InputError(`${path}: must be a file, got none`)
  const size = (await files.size(path)) ?? 0
  return open((offset, length) => files.readRange(path, offset, length), size, path)
}

/** The same over bytes in memory (a browser); `label` names them in errors. The bytes must stay unchanged. */
export async function parseSafetensors(bytes: Uint8Array, label = 'safetensors'): Promise<SafetensorsFile> {
  return open(async (offset, length) => bytes.slice(offset, offset + length), bytes.length, label)
}
