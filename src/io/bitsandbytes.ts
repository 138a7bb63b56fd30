// Weights that bitsandbytes packed, under the keys of its state_dict: NF4 and FP4 (`P.weight` with .absmax, .quant_map and
// .quant_state.bitsandbytes__nf4 beside it) and LLM.int8 (`P.weight` in I8, `P.SCB`). Every tensor beside a weight belongs to one
// or stays a name of its own, which models refuse. Writing them is in bitsandbytes-write.ts.
import { InputError } from '../platform/errors.ts'
import { bytesOf, type PackedShape, type PackedValues, packedBlocks } from '../tensor/packing/packing.ts'
import { type PackedFormat, packings } from '../tensor/packing/registry.ts'
import { sameShape, showShape } from '../tensor/shape.ts'
import { isRecord, parseJson } from './json.ts'
import { dtypeSizes, type TensorInfo } from './safetensors.ts'

/** A weight as a checkpoint has it packed. */
export interface StoredPacked {
  /** What it is called there: 'nf4', 'fp4' or 'LLM.int8'. */
  readonly name: string
  readonly shape: PackedShape
  readonly format: PackedFormat
  readonly double: boolean
  readonly block: number
  /** Words and scales in the layouts of the kernels' table, bits as they are stored. Throws an InputError where codes are none. */
  read(): Promise<PackedValues>
}

/** What is found of a packed weight: the weight's name, the tensors that belong to it, its numbers, and itself where it can stay so. */
interface Found {
  readonly weight: string
  readonly beside: readonly string[]
  readonly shape: PackedShape
  readonly packed: StoredPacked | undefined
  values(): Promise<Float32Array<ArrayBuffer>>
}

/** A checkpoint's tensors as bytes: of one, from byte `from` to before `to`. */
export type ReadBytes = (name: string, from?: number, to?: number) => Promise<Uint8Array>

/** What is needed of a checkpoint (checkpoint.ts). */
interface Tensors {
  readonly folder: string
  readonly config: Readonly<Record<string, unknown>>
  readonly notes: readonly string[]
  names(): string[]
  has(name: string): boolean
  info(name: string): TensorInfo
  read(name: string): Promise<Float32Array<ArrayBuffer>>
}

/** More than any quant_state has; the largest that bitsandbytes writes has about 200 bytes. */
const longestState = 4096
const stateKey = /^(.+)\.quant_state\.bitsandbytes__(nf4|fp4)$/

interface State {
  readonly block: number
  readonly shape: PackedShape
  /** The mean of the maxima where they are packed too. */
  readonly offset: number | undefined
}

const dtypes = ['float32', 'float16', 'bfloat16']
const stateFields = ['quant_type', 'blocksize', 'dtype', 'shape']
const nestedFields = ['nested_blocksize', 'nested_dtype', 'nested_offset']

/** The JSON of a quant_state; throws an InputError on whatever is not known of it. */
function parseState(text: string, type: string, label: string): State {
  const json = parseJson(text, label)
  const fail = (rule: string, got: unknown): never => {
    throw new InputError(`${label}: ${rule}, got ${JSON.stringify(got)?.slice(0, 80)}`)
  }
  if (!isRecord(json)) return fail('must be a JSON object', json)
  const { quant_type, blocksize, dtype, shape } = json
  const nested = nestedFields.some((field) => json[field] !== undefined)
  const odd = Object.keys(json).find((key) => ![...stateFields, ...(nested ? nestedFields : [])].includes(key))
  if (odd !== undefined) return fail('may not have other fields', odd)
  if (quant_type !== type) return fail(`quant_type must be ${type}, as its key says`, quant_type)
  if (!packedBlocks.includes(blocksize as number)) {
    return fail(`blocksize must be one of ${packedBlocks.join(', ')}`, blocksize)
  }
  if (!dtypes.includes(dtype as string)) return fail(`dtype must be one of ${dtypes.join(', ')}`, dtype)
  const whole = (n: unknown) => Number.isSafeInteger(n) && (n as number) > 0
  if (!Array.isArray(shape) || shape.length !== 2 || !shape.every(whole)) return fail('shape must be two sizes', shape)
  const sizes = shape as unknown as PackedShape
  if (!Number.isSafeInteger(sizes[0] * sizes[1])) return fail('shape must fit a file', shape)
  if (!nested) return { block: blocksize as number, shape: sizes, offset: undefined }
  if (json.nested_blocksize !== 256) return fail('nested_blocksize must be 256', json.nested_blocksize)
  if (json.nested_dtype !== 'float32') return fail('nested_dtype must be float32', json.nested_dtype)
  const offset = json.nested_offset
  if (typeof offset !== 'number' || !Number.isFinite(offset)) return fail('nested_offset must be a number', offset)
  return { block: blocksize as number, shape: sizes, offset: Math.fround(offset) }
}

const floats = ['F32', 'BF16', 'F16']

/** Throws an InputError unless a tensor is there, of one of these dtypes and of this shape. */
function checkTensor(tensors: Tensors, name: string, types: readonly string[], shape: readonly number[]): void {
  if (!tensors.has(name)) throw new InputError(`${tensors.folder}: ${name} is missing beside the packed weight`)
  const info = tensors.info(name)
  if (types.includes(info.dtype) && sameShape(info.shape, shape)) return
  throw new InputError(
    `${tensors.folder}: ${name} must be ${types.join(' or ')} ${showShape(shape)}, got ${info.dtype} ${showShape(info.shape)}`,
  )
}

/** A weight in four bits. Its tensors are checked; what the codes say is data. */
async function fourBits(tensors: Tensors, bytes: ReadBytes, key: string): Promise<Found> {
  const { folder } = tensors
  const [, weight, type] = stateKey.exec(key) as unknown as [string, string, 'nf4' | 'fp4']
  const stateInfo = tensors.info(key)
  if (stateInfo.dtype !== 'U8' || stateInfo.shape.length !== 1 || stateInfo.shape[0]! > longestState) {
    throw new InputError(
      `${folder}: ${key} must be U8 of at most ${longestState} bytes, got ${showShape(stateInfo.shape)}`,
    )
  }
  const { block, shape, offset } = parseState(new TextDecoder().decode(await bytes(key)), type, `${folder}: ${key}`)
  const [rows, columns] = shape
  const double = offset !== undefined
  const count = Math.ceil((rows * columns) / 2)
  const blocks = Math.ceil((rows * columns) / block)
  if (!tensors.has(weight)) throw new InputError(`${folder}: ${weight} is missing beside its quant_state`)
  const info = tensors.info(weight)
  const size = dtypeSizes[info.dtype]
  if (sameShape(info.shape, [rows, columns / 2]) && columns > 2) {
    throw new InputError(
      `${folder}: ${weight} is laid out for one processor by bitsandbytes; save it in Python before it is evaluated`,
    )
  }
  if (!sameShape(info.shape, [count / size, 1])) {
    throw new InputError(
      `${folder}: ${weight} must hold ${count} bytes as (${count}, 1) for its shape ${showShape(shape)}, got ${info.dtype} ${showShape(info.shape)}`,
    )
  }
  const at = (name: string) => `${weight}.${name}`
  const beside = [key, at('absmax'), at('quant_map'), ...(double ? [at('nested_absmax'), at('nested_quant_map')] : [])]
  checkTensor(tensors, at('quant_map'), ['F32'], [16])
  if (double) {
    checkTensor(tensors, at('absmax'), ['U8'], [blocks])
    checkTensor(tensors, at('nested_absmax'), ['F32'], [Math.ceil(blocks / 256)])
    checkTensor(tensors, at('nested_quant_map'), ['F32'], [256])
  }
  // After an evaluation on some processors bitsandbytes saves the maxima as bfloat16, transposed: (columns / block, rows).
  const turned =
    !double &&
    columns % block === 0 &&
    tensors.has(at('absmax')) &&
    sameShape(tensors.info(at('absmax')).shape, [columns / block, rows])
  if (!double) checkTensor(tensors, at('absmax'), floats, turned ? [columns / block, rows] : [blocks])

  const read = async (): Promise<PackedValues> => {
    const options = { block, double }
    const words = new Int32Array(packings.nf4.wordsOf(shape, options))
    const scales = new Float32Array(packings.nf4.scalesOf(shape, options))
    bytesOf(words).set(await bytes(weight))
    scales.set(await tensors.read(at('quant_map')))
    if (double) {
      bytesOf(words).set(await bytes(at('absmax')), 4 * Math.ceil((rows * columns) / 8))
      scales.set(await tensors.read(at('nested_quant_map')), 16)
      scales[272] = offset
      scales.set(await tensors.read(at('nested_absmax')), 273)
      return { words, scales }
    }
    const maxima = await tensors.read(at('absmax'))
    const across = columns / block
    if (!turned) scales.set(maxima, 16)
    else for (let i = 0; i < blocks; i++) scales[16 + i] = maxima[(i % across) * rows + Math.floor(i / across)]!
    return { words, scales }
  }
  const packed = { name: type, shape, format: 'nf4', double, block, read } as const
  const values = async () => packings.nf4.decode(await read(), shape, packed)
  return { weight, beside, shape, packed, values }
}

/** The largest code of the format int8, which multiplies integers. */
const sevenBits = 63

/** The largest magnitude of codes; throws an InputError where one is -128, which no symmetric code is. */
function largestCode(codes: Int8Array, label: string): number {
  let most = 0
  for (let i = 0; i < codes.length; i++) most = Math.max(most, Math.abs(codes[i]!))
  if (most > 127) throw new InputError(`${label} must hold codes within -127..127, got -128`)
  return most
}

/**
 * A weight in eight bits by row. Codes within 7 bits (as this package writes them) are the format int8; others keep their bits as
 * blocks, each with its row's scale, and are numbers alone where blocks would span rows.
 */
async function eightBits(tensors: Tensors, bytes: ReadBytes, key: string): Promise<Found> {
  const { folder } = tensors
  const weight = `${key.slice(0, -'SCB'.length)}weight`
  const format = `${weight}_format`
  if (!tensors.has(weight)) throw new InputError(`${folder}: ${weight} is missing beside ${key}`)
  const stored = tensors.info(weight)
  const [rows = 0, columns = 0] = stored.shape
  if (stored.dtype !== 'I8' || stored.shape.length !== 2 || rows * columns === 0) {
    throw new InputError(
      `${folder}: ${weight} must be I8 of two sizes beside its SCB, got ${stored.dtype} ${showShape(stored.shape)}`,
    )
  }
  const shape: PackedShape = [rows, columns]
  checkTensor(tensors, key, floats, [rows])
  if (tensors.has(format)) {
    checkTensor(tensors, format, ['U8'], [])
    const [code] = await bytes(format)
    if (code !== 0) throw new InputError(`${folder}: ${format} must be 0 (by row), got ${code}; save it anew`)
  }
  const label = `${folder}: ${weight}`
  const codesOf = async (from?: number, to?: number) => {
    const data = await bytes(weight, from, to)
    return new Int8Array(data.buffer, data.byteOffset, data.length)
  }
  const byRow = (await tensors.read(key)).map((most) => most / 127)
  // A row that is not zero has the largest code that there can be.
  const row = Math.max(
    0,
    byRow.findIndex((scale) => scale !== 0),
  )
  const narrow = largestCode(await codesOf(row * columns, (row + 1) * columns), label) <= sevenBits
  const checked = async () => {
    const codes = await codesOf()
    const most = largestCode(codes, label)
    if (!narrow || most <= sevenBits) return codes
    throw new InputError(`${label} must have equally large codes in all rows, got one of ${most}`)
  }
  const [name, double, block] = ['LLM.int8', false, columns % 64 === 0 ? 64 : 32] as const
  const kind: PackedFormat = narrow ? 'int8' : 'int8-block'
  const width = narrow ? 4 * Math.ceil(columns / 4) : columns
  const read = async (): Promise<PackedValues> => {
    const codes = await checked()
    const words = new Int32Array(packings[kind].wordsOf(shape, { block, double }))
    const to = new Int8Array(words.buffer)
    for (let r = 0; r < rows; r++) to.set(codes.subarray(r * columns, (r + 1) * columns), r * width)
    const count = packings[kind].scalesOf(shape, { block, double })
    const rowOf = (i: number) => (narrow ? i : Math.floor((i * block) / columns))
    return { words, scales: Float32Array.from({ length: count }, (_, i) => byRow[rowOf(i)]!) }
  }
  const values = async () => Float32Array.from(await checked(), (code, e) => code * byRow[Math.floor(e / columns)]!)
  const stays = narrow || columns % block === 0
  const packed = stays ? { name, shape, format: kind, double, block, read } : undefined
  return { weight, beside: [key, ...(tensors.has(format) ? [format] : [])], shape, packed, values }
}

/** Throws an InputError where config.json says that others packed the weights; a note where it says so and none is. */
function checkConfig({ config, folder }: Tensors, found: number): string[] {
  const said = config.quantization_config
  if (said === undefined || said === null) return []
  const method = isRecord(said) ? (said.quant_method ?? 'bitsandbytes') : said
  if (method !== 'bitsandbytes') {
    throw new InputError(
      `${folder}: quantization_config must be by bitsandbytes, got ${JSON.stringify(method)?.slice(0, 60)}; use a checkpoint that is not quantised`,
    )
  }
  return found > 0 ? [] : ['config.json has a quantization_config, but no weight is packed; they are taken as they are']
}

/**
 * A checkpoint in which packed weights have the shape of their numbers, and what lies beside them no names of its own. Throws an
 * InputError where tensors beside a weight are missing, more, or do not fit.
 */
export async function withPacked<T extends Tensors>(
  plain: T,
  bytes: ReadBytes,
): Promise<T & { packed(name: string): StoredPacked | undefined }> {
  const found = new Map<string, Found>()
  const beside = new Set<string>()
  const checkpoint = {
    ...plain,
    names: () => plain.names().filter((name) => !beside.has(name)),
    has: (name: string) => plain.has(name) && !beside.has(name),
    info(name: string): TensorInfo {
      const one = found.get(name)
      return one ? { dtype: 'F32', shape: one.shape } : plain.info(name)
    },
    read: (name: string) => found.get(name)?.values() ?? plain.read(name),
    packed: (name: string) => found.get(name)?.packed,
  }
  for (const name of plain.names()) {
    const look = stateKey.test(name) ? fourBits : /\.SCB$/.test(name) ? eightBits : undefined
    if (!look) continue
    const one = await look(plain, bytes, name)
    if (found.has(one.weight)) {
      throw new InputError(
        `${plain.folder}: ${one.weight} must be packed in one way, got two; keep the one that is meant`,
      )
    }
    found.set(one.weight, one)
    for (const other of one.beside) beside.add(other)
  }
  return { ...checkpoint, notes: [...plain.notes, ...checkConfig(checkpoint, found.size)] }
}
