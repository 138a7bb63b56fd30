// Writing safetensors, byte for byte as the Python library does: wide dtypes first, then by name; compact JSON padded
// with spaces to 8 bytes. Reading is in safetensors.ts.
import { InputError } from '../platform/errors.ts'
import { toBf16, toF16 } from './half.ts'
import { localFiles } from './local-files.ts'
import { dtypeSizes } from './safetensors.ts'

/** Dtypes that can be written. */
export type WrittenDtype = 'F32' | 'F16' | 'BF16' | 'F64' | 'I64' | 'I32' | 'I8' | 'U8' | 'BOOL'

/** One tensor to write: `data` row by row, converted to `dtype` (default F32). */
export interface TensorToWrite {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype?: WrittenDtype
  readonly data: Float32Array | Float64Array | Int32Array | Int8Array | Uint8Array
}

// The order of the library's own list of types; it sorts by this, largest first.
const order: readonly WrittenDtype[] = ['BOOL', 'U8', 'I8', 'F16', 'BF16', 'I32', 'F32', 'F64', 'I64']

const dtypeOf = (tensor: TensorToWrite): WrittenDtype => tensor.dtype ?? 'F32'

function encode(data: TensorToWrite['data'], dtype: WrittenDtype): Uint8Array {
  const asF32 = () => (data instanceof Float32Array ? data : new Float32Array(data))
  let out: ArrayBufferView
  switch (dtype) {
    case 'F32':
      out = asF32()
      break
    case 'F16':
      out = toF16(asF32())
      break
    case 'BF16':
      out = toBf16(asF32())
      break
    case 'F64':
      out = data instanceof Float64Array ? data : new Float64Array(data)
      break
    case 'I64':
      out = BigInt64Array.from({ length: data.length }, (_, i) => BigInt(Math.trunc(data[i]!)))
      break
    case 'I32':
      out = data instanceof Int32Array ? data : new Int32Array(data)
      break
    case 'I8':
      out = data instanceof Int8Array ? data : new Int8Array(data)
      break
    case 'U8':
      out = data instanceof Uint8Array ? data : new Uint8Array(data)
      break
    case 'BOOL':
      out = Uint8Array.from(data, (v) => (v ? 1 : 0))
  }
  return new Uint8Array(out.buffer, out.byteOffset, out.byteLength)
}

function checked(tensors: Iterable<TensorToWrite>): TensorToWrite[] {
  const list = [...tensors]
  const names = new Set<string>()
  for (const { name, shape, data } of list) {
    if (name === '__metadata__') throw new InputError('safetensors: a tensor may not be called __metadata__')
    if (names.has(name)) throw new InputError(`safetensors: names must differ, got "${name}" twice`)
    names.add(name)
    if (shape.reduce((a, b) => a * b, 1) !== data.length) {
      throw new InputError(`safetensors: "${name}" of shape (${shape.join(', ')}) got ${data.length} values`)
    }
  }
  return list.sort((a, b) => {
    const byType = order.indexOf(dtypeOf(b)) - order.indexOf(dtypeOf(a))
    return byType || (a.name < b.name ? -1 : 1)
  })
}

function* parts(list: TensorToWrite[], metadata: Readonly<Record<string, string>>): Iterable<Uint8Array> {
  const entries: string[] = []
  if (Object.keys(metadata).length > 0) entries.push(`"__metadata__":${JSON.stringify(metadata)}`)
  let at = 0
  for (const tensor of list) {
    const dtype = dtypeOf(tensor)
    const end = at + tensor.data.length * dtypeSizes[dtype]
    const entry = { dtype, shape: tensor.shape, data_offsets: [at, end] }
    entries.push(`${JSON.stringify(tensor.name)}:${JSON.stringify(entry)}`)
    at = end
  }
  const json = new TextEncoder().encode(`{${entries.join(',')}}`)
  const head = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20)
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true)
  head.set(json, 8)
  yield head
  for (const tensor of list) yield encode(tensor.data, dtypeOf(tensor))
}

/** The bytes of a safetensors file; throws an InputError on a name given twice or a shape that does not fit its data. */
export function encodeSafetensors(
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Uint8Array<ArrayBuffer> {
  const chunks = [...safetensorsParts(tensors, metadata)]
  const out = new Uint8Array(chunks.reduce((n, chunk) => n + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    out.set(chunk, at)
    at += chunk.length
  }
  return out
}

/** The same in parts, one tensor at a time, for whoever writes a file; throws at once. */
export function safetensorsParts(
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Iterable<Uint8Array> {
  return parts(checked(tensors), metadata)
}

/** Writes a safetensors file whole or not at all, one tensor in memory at a time beyond what is given. */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Promise<void> {
  await localFiles(path).writeAtomic(path, safetensorsParts(tensors, metadata))
}
