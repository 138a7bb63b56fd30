// Everything that reads what others wrote, with good files to start from: what the fuzzer goes through.
import { encodeSafetensors, parseSafetensors } from 'vitune'
import type { Reader } from './fuzzing.ts'

const floats = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i)))

const weights = encodeSafetensors([
  { name: 'a.weight', shape: [3, 4], data: floats(12) },
  { name: 'a.bias', shape: [3], dtype: 'BF16', data: floats(3) },
  { name: 'empty', shape: [0], data: floats(0) },
  { name: 'steps', shape: [], dtype: 'I64', data: floats(1) },
])

async function readAll(bytes: Uint8Array): Promise<void> {
  const file = await parseSafetensors(bytes, 'model.safetensors')
  for (const name of file.names()) await file.read(name)
}

export const readers: readonly Reader[] = [{ name: 'safetensors', kind: 'safetensors', good: [weights], read: readAll }]
