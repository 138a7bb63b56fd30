// The one door from ops to a backend: tensors in, their buffers out.
import type { Bufs, KernelName, Params } from '../backend/kernels.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Queues a kernel on the backend of its first tensor. */
export function run<K extends KernelName>(kernel: K, tensors: Bufs<K, Tensor>, params: Params<K>): void {
  const bufs: Record<string, unknown> = {}
  let backend: Tensor['backend'] | undefined
  for (const name in tensors) {
    const t = (tensors as Record<string, Tensor | undefined>)[name]
    if (!t) continue
    backend ??= t.backend
    if (t.backend !== backend)
      throw new Error(`${kernel}: all tensors must be on one backend, got ${backend.name} and ${t.backend.name}`)
    bufs[name] = t.buf
  }
  backend!.dispatch(kernel, bufs as Bufs<K>, params)
}
