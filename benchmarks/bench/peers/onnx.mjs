// onnxruntime-web (WASM) and onnxruntime-node (native): inference only, in f32 or with weights of 8 bits. The models are written
// by onnx-model.mjs.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { batchOf, noise } from '../contenders/noise.mjs'
import { matmulModel, vitModel } from './onnx-model.mjs'

const require = createRequire(import.meta.url)

/** onnxruntime-web exports no package.json. */
const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), 'utf8')).version

/** |a - b| / |b|. */
function distance(a, b) {
  let [off, all] = [0, 0]
  for (const [i, x] of b.entries()) {
    off += (a[i] - x) ** 2
    all += x ** 2
  }
  const share = Math.sqrt(off / all)
  // Weights in the wrong order, or a scale left out, would be off by all of it.
  if (!(share < 0.2)) throw new Error(`the int8 model's logits are ${(100 * share).toFixed(0)} % off those in f32`)
  return share
}

/** Opens what `spec` describes; `spec.native` takes onnxruntime-node. */
export async function open(spec) {
  const name = spec.native ? 'onnxruntime-node' : 'onnxruntime-web'
  const ort = spec.native ? require('onnxruntime-node') : await import('onnxruntime-web')
  if (!spec.native) ort.env.wasm.numThreads = spec.threads
  const options = spec.native
    ? { executionProviders: ['cpu'], intraOpNumThreads: spec.threads, interOpNumThreads: 1 }
    : { executionProviders: ['wasm'] }
  const session = (model) => ort.InferenceSession.create(new Uint8Array(model), options)
  const runs = []
  const notes = []
  if (spec.work === 'matmul') {
    for (const { m, k, n, calls } of spec.products) {
      const model = await session(matmulModel({ m, k, n }))
      const next = noise()
      const feeds = {
        a: new ort.Tensor('float32', next(m * k, 1), [m, k]),
        b: new ort.Tensor('float32', next(k * n, 1), [k, n]),
      }
      runs.push(async () => {
        let y
        for (let i = 0; i < calls; i++) y = (await model.run(feeds)).y
        return y.data.at(-1)
      })
    }
  } else {
    if (spec.method !== 'forward') throw new Error(`${name} runs inference only`)
    const { image } = spec.shape
    const int8 = spec.quantize === 'int8'
    const model = await session(vitModel({ ...spec, int8 }))
    const feeds = { images: new ort.Tensor('float32', batchOf(spec).images, [spec.batch, 3, image, image]) }
    if (spec.check) {
      const exact = await session(vitModel(spec))
      const [a, b] = await Promise.all([model, exact].map(async (some) => (await some.run(feeds)).logits.data))
      await exact.release()
      notes.push(`${name} int8: logits are ${(100 * distance(a, b)).toFixed(1)} % off those of its f32 model`)
    }
    runs.push(async () => (await model.run(feeds)).logits.data.at(-1))
  }
  return { versions: { [name]: versionOf(name) }, notes, run: (i) => runs[i]() }
}
