// onnxruntime-web (WASM) and onnxruntime-node (native): inference only. The models are written by onnx-model.mjs.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { batchOf, noise } from '../contenders/noise.mjs'
import { matmulModel, vitModel } from './onnx-model.mjs'

const require = createRequire(import.meta.url)

/** onnxruntime-web exports no package.json. */
const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), 'utf8')).version

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
    const model = await session(vitModel(spec))
    const { image } = spec.shape
    const feeds = { images: new ort.Tensor('float32', batchOf(spec).images, [spec.batch, 3, image, image]) }
    runs.push(async () => (await model.run(feeds)).logits.data.at(-1))
  }
  return { versions: { [name]: versionOf(name) }, run: (i) => runs[i]() }
}
