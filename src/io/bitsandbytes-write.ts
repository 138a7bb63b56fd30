// Packed weights under bitsandbytes' keys, and the quantization_config that has transformers read them. Reading is in bitsandbytes.ts.
import { nf4Codebook } from '../tensor/packing/nf4.ts'
import { bytesOf, type PackedShape, type PackedValues } from '../tensor/packing/packing.ts'
import type { PackedFormat } from '../tensor/packing/registry.ts'
import type { TensorToWrite } from './safetensors-write.ts'

/** A packed weight on the host. */
export interface PackedToWrite extends PackedValues {
  readonly shape: PackedShape
  readonly format: PackedFormat
  readonly double: boolean
  readonly block: number
}

/** What bitsandbytes calls how a weight is packed. */
export type BitsAndBytesType = 'nf4' | 'fp4' | 'int8'

/** FP4's values by code: sign, two bits of exponent, one of fraction, over the largest (12). */
const fp4Magnitudes = [0, 0.0625, 8, 12, 4, 6, 2, 3]
const fp4Codebook = Float32Array.of(...fp4Magnitudes, ...fp4Magnitudes.map((x) => -x)).map((x) => x / 12)

const sameValues = (a: Float32Array, b: Float32Array) => a.every((x, i) => x === b[i])

/** JSON as Python's json.dumps spaces it. */
const pythonJson = (fields: Record<string, string | number | readonly number[]>) =>
  `{${Object.entries(fields)
    .map(([key, value]) => `"${key}": ${Array.isArray(value) ? `[${value.join(', ')}]` : JSON.stringify(value)}`)
    .join(', ')}}`

function fourBits(name: string, p: PackedToWrite, type: BitsAndBytesType): TensorToWrite[] {
  const { words, scales, shape, double, block } = p
  const elements = shape[0] * shape[1]
  const [count, blocks] = [Math.ceil(elements / 2), Math.ceil(elements / block)]
  const bytes = bytesOf(words)
  const maxima = 4 * Math.ceil(elements / 8)
  const f32 = (key: string, from: number, length: number): TensorToWrite => ({
    name: `${name}.${key}`,
    shape: [length],
    data: scales.subarray(from, from + length),
  })
  const u8 = (key: string, data: Uint8Array): TensorToWrite => ({
    name: `${name}.${key}`,
    shape: [data.length],
    dtype: 'U8',
    data,
  })
  const state = pythonJson({
    quant_type: type,
    blocksize: block,
    dtype: 'float32',
    shape,
    ...(double ? { nested_blocksize: 256, nested_dtype: 'float32', nested_offset: scales[272]! } : {}),
  })
  return [
    { name, shape: [count, 1], dtype: 'U8', data: bytes.subarray(0, count) },
    f32('quant_map', 0, 16),
    ...(double
      ? [
          u8('absmax', bytes.subarray(maxima, maxima + blocks)),
          f32('nested_quant_map', 16, 256),
          f32('nested_absmax', 273, Math.ceil(blocks / 256)),
        ]
      : [f32('absmax', 16, blocks)]),
    u8(`quant_state.bitsandbytes__${type}`, new TextEncoder().encode(state)),
  ]
}

/** The largest magnitude of a row that, divided by 127 in f32, gives its scale; the nearest one where none does (1 of 128). */
function rowMaximum(scale: number): number {
  const nearest = Math.fround(scale * 127)
  const step = nearest * 2 ** -24
  const exact = [nearest, Math.fround(nearest + 2 * step), Math.fround(nearest - 2 * step)]
  return exact.find((most) => Math.fround(most / 127) === scale) ?? nearest
}

function eightBits(
  name: string,
  { words, shape }: PackedToWrite,
  width: number,
  scales: Float32Array,
): TensorToWrite[] {
  const [rows, columns] = shape
  const bytes = new Int8Array(words.buffer, words.byteOffset, words.byteLength)
  const codes = new Int8Array(rows * columns)
  for (let r = 0; r < rows; r++) codes.set(bytes.subarray(r * width, r * width + columns), r * columns)
  const layer = name.replace(/weight$/, '')
  return [
    { name, shape, dtype: 'I8', data: codes },
    { name: `${layer}SCB`, shape: [rows], data: scales.map(rowMaximum) },
    { name: `${layer}weight_format`, shape: [], dtype: 'U8', data: Uint8Array.of(0) },
  ]
}

/** The scale of each row where all blocks of a row have the same, as of weights that were read so. */
export function scalesByRow({ scales, shape, block }: PackedToWrite): Float32Array | undefined {
  const across = shape[1] / block
  if (!Number.isInteger(across)) return undefined
  const byRow = Float32Array.from({ length: shape[0] }, (_, r) => scales[r * across]!)
  return scales.every((x, i) => x === byRow[Math.floor(i / across)]) ? byRow : undefined
}

/** The tensors of a packed weight `name` (which ends in 'weight'); undefined where bitsandbytes has no such format. */
export function packedTensors(
  name: string,
  p: PackedToWrite,
): { type: BitsAndBytesType; tensors: TensorToWrite[] } | undefined {
  if (p.format === 'nf4') {
    const book = p.scales.subarray(0, 16)
    const type = sameValues(book, nf4Codebook) ? 'nf4' : sameValues(book, fp4Codebook) ? 'fp4' : undefined
    return type && { type, tensors: fourBits(name, p, type) }
  }
  const byRow = p.format === 'int8' ? p.scales : scalesByRow(p)
  const width = p.format === 'int8' ? 4 * Math.ceil(p.shape[1] / 4) : p.shape[1]
  return byRow && { type: 'int8', tensors: eightBits(name, p, width, byRow) }
}

/** config.json's quantization_config; `skip` are modules that are not packed, as transformers matches them. */
export function quantizationConfig(type: BitsAndBytesType, double: boolean, skip: readonly string[]) {
  const four = type !== 'int8'
  return {
    quant_method: 'bitsandbytes',
    _load_in_4bit: four,
    _load_in_8bit: !four,
    load_in_4bit: four,
    load_in_8bit: !four,
    bnb_4bit_quant_type: four ? type : 'fp4',
    bnb_4bit_use_double_quant: double,
    bnb_4bit_compute_dtype: 'float32',
    bnb_4bit_quant_storage: 'uint8',
    llm_int8_skip_modules: skip,
    // No column of activations is set apart as an outlier, as here.
    llm_int8_threshold: 0,
    llm_int8_has_fp16_weight: false,
    llm_int8_enable_fp32_cpu_offload: false,
  }
}
