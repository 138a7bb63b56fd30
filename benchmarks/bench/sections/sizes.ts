// Section sizes: bytes of a model whole and packed, and of the file that an adapter is. Counted, not timed.
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { saveAdapter } from 'vitune/adapters'
import { namedParameters } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { makeModel } from '../contenders/vit.mjs'
import type { Bench } from '../measure.ts'
import { type Section, section, spreadOf } from '../result.ts'
import { dinov2Small, type VitShape, vitBase } from '../shapes.ts'

/** Forms of a model, the largest first; the last is no whole model. */
export const forms = ['f32', 'int8', 'NF4', 'NF4, double quantisation', 'adapter'] as const
type Form = (typeof forms)[number]

async function adapterBytes(shape: VitShape): Promise<number> {
  const { model, lora } = makeModel(createReference(), { shape, method: 'lora' })
  const folder = await mkdtemp(join(tmpdir(), 'vitune-sizes-'))
  try {
    await saveAdapter(model, folder, lora!)
    return (await stat(join(folder, 'adapter_model.safetensors'))).size
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Bytes of every weight of a model as it is held in memory. */
async function modelBytes(
  shape: VitShape,
  quantize: 'int8' | 'nf4' | undefined,
  doubleQuant: boolean,
): Promise<number> {
  const { model, packed } = makeModel(createReference(), { shape, method: 'forward', quantize, doubleQuant })
  return [...namedParameters(model)].reduce((sum, [, p]) => sum + 4 * p.size, packed.bytes)
}

const bytesOf: Record<Form, (shape: VitShape) => Promise<number>> = {
  f32: (shape) => modelBytes(shape, undefined, false),
  int8: (shape) => modelBytes(shape, 'int8', false),
  NF4: (shape) => modelBytes(shape, 'nf4', false),
  'NF4, double quantisation': (shape) => modelBytes(shape, 'nf4', true),
  adapter: adapterBytes,
}

/** Runs the section. */
export async function sizes(bench: Bench): Promise<Section> {
  const to = section(
    'sizes',
    'Bytes of a model by how its weights are kept, and of an adapter (LoRA, rank 8, query and value)',
  )
  for (const shape of [dinov2Small, vitBase]) {
    for (const form of forms) {
      if (bench.signal.aborted) break
      bench.progress(`sizes: ${shape.name}, ${form}`)
      const spread = spreadOf([(await bytesOf[form](shape)) / 1e6])
      to.rows.push({ what: shape.name, who: form, unit: 'MB', more: false, spread })
    }
  }
  to.notes.push(
    'packed are the weights of the linear layers of all blocks; embeddings, norms, biases and classifier stay f32',
  )
  return to
}
