// TensorFlow.js in a page, where its WASM backend has threads and there is one for WebGPU.
import * as tf from '@tensorflow/tfjs'
import { setThreadsCount, setWasmPaths, version_wasm } from '@tensorflow/tfjs-backend-wasm'
import '@tensorflow/tfjs-backend-webgpu'
import { open as openTfjs } from './tfjs.mjs'

/** Opens what `spec` describes on `spec.device`, default wasm, with `spec.files` as the folder of its WASM files. */
export async function open(spec) {
  const device = spec.device ?? 'wasm'
  setWasmPaths(spec.files)
  setThreadsCount(spec.threads)
  if (!(await tf.setBackend(device))) throw new Error(`tfjs: the backend ${device} could not be started`)
  return openTfjs(spec, { tf, versions: { '@tensorflow/tfjs': version_wasm } })
}
