// A tensor: a shape over counted storage on one backend. Always contiguous, row-major. Not here: what to compute (ops/).

/// <reference lib="esnext.disposable" preserve="true" />

import type { Backend, HostArray } from '../backend/backend.ts'
import type { Buf, Dtype } from '../backend/kernels.ts'
import { adopt, disown } from './scope.ts'
import { type Shape, showShape, sizeOf } from './shape.ts'

/** Memory shared by tensors that are views of each other; given back when the last of them is disposed. */
class Storage {
  refs = 0
  constructor(
    readonly backend: Backend,
    readonly buf: Buf,
  ) {}
}

let nextId = 1

export class Tensor {
  /** Unique in the process; the tape knows tensors by it. */
  readonly id = nextId++
  readonly shape: Shape
  private storage: Storage | undefined

  constructor(source: { backend: Backend; buf: Buf } | Tensor, shape: Shape) {
    const storage = source instanceof Tensor ? source.live() : new Storage(source.backend, source.buf)
    if (storage.buf.length !== sizeOf(shape)) {
      throw new Error(`tensor: shape must hold ${storage.buf.length} elements, got ${showShape(shape)}`)
    }
    storage.refs++
    this.storage = storage
    this.shape = shape
    adopt(this)
  }

  private live(): Storage {
    if (!this.storage) throw new Error(`tensor: used after dispose, shape ${showShape(this.shape)}`)
    return this.storage
  }

  get backend(): Backend {
    return this.live().backend
  }
  get buf(): Buf {
    return this.live().buf
  }
  get dtype(): Dtype {
    return this.live().buf.dtype
  }
  get size(): number {
    return sizeOf(this.shape)
  }
  get disposed(): boolean {
    return this.storage === undefined
  }
  /** Whether no other tensor shares this memory, so that it may be overwritten. */
  get unshared(): boolean {
    return this.live().refs === 1
  }

  /** A copy of the elements, once everything queued before has run. */
  data(): Promise<HostArray> {
    return this.backend.read(this.buf)
  }

  /** The one element of a tensor of size 1. */
  async item(): Promise<number> {
    if (this.size !== 1) throw new Error(`item: needs one element, got shape ${showShape(this.shape)}`)
    return (await this.data())[0]!
  }

  /** Overwrites the elements with host data of the same length. */
  assign(data: HostArray): void {
    if (data.length !== this.size) throw new Error(`assign: needs ${this.size} elements, got ${data.length}`)
    this.backend.write(this.buf, data)
  }

  /** Another handle on the same memory, owned by the caller alone (no scope frees it). */
  alias(): Tensor {
    const t = new Tensor(this, this.shape)
    disown(t)
    return t
  }

  /** Gives up this handle; harmless when repeated. */
  dispose(): void {
    const storage = this.storage
    if (!storage) return
    this.storage = undefined
    disown(this)
    if (--storage.refs === 0) storage.backend.free(storage.buf)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** A tensor that an optimizer may change: a module's weight. It lives outside every scope until disposed. */
export class Parameter extends Tensor {
  trainable = true
  constructor(source: { backend: Backend; buf: Buf }, shape: Shape) {
    super(source, shape)
    disown(this)
  }
}

/** A tensor of undefined contents. */
export function empty(backend: Backend, shape: Shape, dtype: Dtype = 'f32'): Tensor {
  return new Tensor({ backend, buf: backend.alloc(sizeOf(shape), dtype) }, shape)
}

/** A tensor from host data: Int32Array gives i32, everything else f32. */
export function tensor(backend: Backend, data: HostArray | readonly number[], shape: Shape): Tensor {
  const host = Array.isArray(data) ? Float32Array.from(data as number[]) : (data as HostArray)
  if (host.length !== sizeOf(shape)) {
    throw new Error(`tensor: shape ${showShape(shape)} must hold the data, got ${host.length} elements`)
  }
  const t = empty(backend, shape, host instanceof Int32Array ? 'i32' : 'f32')
  backend.write(t.buf, host)
  return t
}

/** A trainable tensor from host data. */
export function parameter(backend: Backend, data: Float32Array | Float64Array, shape: Shape): Parameter {
  if (data.length !== sizeOf(shape)) {
    throw new Error(`parameter: shape ${showShape(shape)} must hold the data, got ${data.length} elements`)
  }
  const p = new Parameter({ backend, buf: backend.alloc(data.length, 'f32') }, shape)
  backend.write(p.buf, data)
  return p
}
