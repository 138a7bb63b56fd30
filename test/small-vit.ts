// What tests of models, adapters and training share: a tiny random ViT, its images, the stored checkpoints.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError } from 'vitune'
import { openCheckpoint, type TensorToWrite, writeSafetensors } from 'vitune/io'
import { loadVit, Vit, type VitConfig } from 'vitune/models'
import { disposeModule, namedParameters, truncatedNormal } from 'vitune/nn'
import { type Backend, createReference, Rng, scope, tensor } from 'vitune/tensor'

/** The folder of stored values, with a slash at its end. */
export const fixtures = new URL('fixtures/', import.meta.url).pathname
export const json = (path: string) => JSON.parse(readFileSync(fixtures + path, 'utf8'))
export const folders = (path: string) =>
  readdirSync(fixtures + path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)

/** Every stored checkpoint, Hugging Face's and timm's. */
export const checkpoints = ['checkpoints', 'timm'].flatMap((kind) => folders(kind).map((name) => `${kind}/${name}`))

/** The configuration of `smallVit`. */
export const smallConfig: VitConfig = {
  family: 'vit',
  hidden: 16,
  layers: 3,
  heads: 2,
  mlpHidden: 32,
  swiglu: false,
  layerNormEps: 1e-6,
  qkvBias: true,
  layerScale: false,
  layerScaleInit: 1,
  imageSize: [8, 8],
  patchSize: 4,
  channels: 3,
  registers: 0,
  distillationToken: false,
  pooling: 'cls',
  positionGrid: [2, 2],
  positionInterpolation: 'bicubic',
  positionPrefix: 1,
  dropout: 0,
  dropPath: 0,
  classes: ['ant', 'bee', 'cat'],
}

/** A random ViT of 3 blocks, 16 wide, for images of 8 x 8 pixels and 3 classes. The same on each call. */
export function smallVit(backend: Backend, changes: Partial<VitConfig> = {}): Vit {
  const init = truncatedNormal(new Rng(3), 0.2)
  const model = new Vit(backend, { ...smallConfig, ...changes }, init)
  // Biases and norms off their starting values, so that a mix-up shows.
  const rng = new Rng(4)
  for (const [, p] of namedParameters(model)) {
    if (p.shape.length === 1) p.assign(Float32Array.from({ length: p.size }, () => 0.5 + 0.3 * rng.normal()))
  }
  return model
}

/** Random images (count, 3, side, side), flat. */
export function pixels(count: number, seed = 1, side = 8): Float32Array {
  const rng = new Rng(seed, 5)
  return Float32Array.from({ length: count * 3 * side * side }, () => rng.normal())
}

/** A stored checkpoint on a backend. */
export async function load(backend: Backend, name: string): Promise<Vit> {
  return (await loadVit(backend, await openCheckpoint(fixtures + name))).model
}

/** The model's logits for images of its own size. */
export async function logitsFor(model: Vit, images: Float32Array): Promise<Float32Array> {
  const { channels, imageSize } = model.config
  const [h, w] = imageSize
  const shape = [images.length / (channels * h * w), channels, h, w]
  const out = scope(() => model.forward(tensor(model.backend, images, shape)))
  const values = (await out.data()) as Float32Array
  out.dispose()
  return values
}

/** Every parameter's values by name. */
export async function weightsOf(model: Vit): Promise<Map<string, Float32Array>> {
  const all = new Map<string, Float32Array>()
  for (const [name, p] of namedParameters(model)) all.set(name, (await p.data()) as Float32Array)
  return all
}

/** Writes a stored checkpoint to `folder` with its tensors and its config.json changed. */
export async function rewrite(
  name: string,
  folder: string,
  change: { tensors?: (all: TensorToWrite[]) => TensorToWrite[]; config?: Record<string, unknown> },
): Promise<string> {
  const { names, info, read, config } = await openCheckpoint(fixtures + name)
  const all: TensorToWrite[] = []
  for (const key of names()) all.push({ name: key, shape: info(key).shape, data: await read(key) })
  await writeSafetensors(join(folder, 'model.safetensors'), change.tensors?.(all) ?? all)
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...change.config }))
  return folder
}

/** The InputError that loading ends with. */
export async function refusal(backend: Backend, folder: string, options = {}): Promise<string> {
  try {
    disposeModule((await loadVit(backend, await openCheckpoint(folder), options)).model)
  } catch (error) {
    assert.instance(error, InputError)
    assert.is(backend.memory().buffers, 0, 'a refused model leaves nothing')
    return (error as Error).message.replace(`${folder}: `, '')
  }
  return 'loaded'
}

/** A test with a folder and a backend of its own, which it must leave empty. */
export function check(
  sentence: string,
  body: (own: { folder: string; backend: Backend }) => Promise<void> | void,
): void {
  test(sentence, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vitune-'))
    const backend = createReference()
    try {
      await body({ folder, backend })
      assert.is(backend.memory().buffers, 0, 'buffers left')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}
