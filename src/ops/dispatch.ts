// The one door from ops to a backend: tensors in, their buffers out.
import type { Bufs, KernelName, Params } from '../backend/kernels.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Queues a kernel on the backend of its first tensor. */
export function run<K extends KernelName>(kernel: K, tensors: Bufs<K, Tensor>, params: Params<K>): void {
  const bufs: Record<string, unknown> = {}
  let backend: Tensor['backend'] | undefined
  const bufOf = (t: Tensor) => {
    backend ??= t.backend
    if (t.backend !== backend)
      throw new Error(`${kernel}: all tensors must be on one backend, got ${backend.name} and ${t.backend.name}`)
    return t.buf
  }
  for (const name in tensors) {
    const given = (tensors as Record<string, Tensor | readonly Tensor[] | undefined>)[name]
    if (given) bufs[name] = Array.isArray(given) ? given.map(bufOf) : bufOf(given as Tensor)
  }
  backend!.dispatch(kernel, bufs as Bufs<K>, params)
}
