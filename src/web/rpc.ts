// Calls over a worker's messages, both ends: one answer or one error each, progress between, an abort from the caller.
// Errors keep their class where it means something to the caller.
import {
  ChangedError,
  DeviceLostError,
  InputError,
  NotFiniteError,
  OutOfMemoryError,
  ReadError,
  WriteError,
} from '../platform/errors.ts'
import type { WorkerHandle } from '../platform/platform.ts'

/** What a handler may use while it runs. */
export interface CallContext {
  /** Aborted by the caller. */
  readonly signal: AbortSignal
  progress(value: unknown): void
}
export type Handlers = Readonly<Record<string, (input: never, context: CallContext) => Promise<unknown>>>
type InputOf<H extends Handlers, K extends keyof H> = Parameters<H[K]>[0]
type OutputOf<H extends Handlers, K extends keyof H> = Awaited<ReturnType<H[K]>>

type Request = { id: number; call: string; input: unknown } | { id: number; abort: true }
interface Failure {
  name: string
  message: string
  stack: string | undefined
  /** Of a ReadError or WriteError. */
  code?: string
}
type Reply = { id: number; value: unknown } | { id: number; error: Failure } | { id: number; progress: unknown }

function toFailure(error: unknown): Failure {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined }
  const { name, message, stack } = error
  return {
    name,
    message,
    stack,
    ...(error instanceof ReadError || error instanceof WriteError ? { code: error.code } : {}),
  }
}

const plain = { ChangedError, DeviceLostError, InputError, NotFiniteError, OutOfMemoryError }
const coded = { ReadError, WriteError }

function rebuilt({ name, message, code }: Failure): Error {
  if (Object.hasOwn(coded, name)) return new coded[name as keyof typeof coded](message, code ?? '')
  if (Object.hasOwn(plain, name)) return new plain[name as keyof typeof plain](message)
  return Object.assign(new Error(message), { name })
}

function toError(failure: Failure): Error {
  const { name, message, stack } = failure
  if (name === 'AbortError') return new DOMException(message, name)
  const error = rebuilt(failure)
  if (stack) error.stack = stack
  return error
}

/** The worker's end: answers every call that comes in. */
export function serve(handlers: Handlers, post: (reply: unknown) => void): (request: unknown) => void {
  const running = new Map<number, AbortController>()
  return (message) => {
    const request = message as Request
    const { id } = request
    if ('abort' in request) return running.get(id)?.abort()
    const controller = new AbortController()
    running.set(id, controller)
    const handler = handlers[request.call]
    const context: CallContext = { signal: controller.signal, progress: (progress) => post({ id, progress }) }
    Promise.resolve()
      .then(() => {
        if (!handler) throw new Error(`session: the worker knows no call ${request.call}`)
        return handler(request.input as never, context)
      })
      .then(
        (value) => post({ id, value }),
        (error) => post({ id, error: toFailure(error) }),
      )
      .finally(() => running.delete(id))
  }
}

export interface CallOptions {
  transfer?: readonly Transferable[]
  signal?: AbortSignal | undefined
  onProgress?: ((value: never) => void) | undefined
}

/** The page's end. Every open call rejects when the worker fails or is stopped. */
export interface Caller<H extends Handlers> {
  call<K extends keyof H & string>(name: K, input: InputOf<H, K>, options?: CallOptions): Promise<OutputOf<H, K>>
  stop(): Promise<void>
}

interface Open {
  resolve(value: unknown): void
  reject(error: Error): void
  onProgress: ((value: never) => void) | undefined
}

/** Calls handlers in a worker that serves them. */
export function connect<H extends Handlers>(worker: WorkerHandle): Caller<H> {
  const open = new Map<number, Open>()
  let count = 0
  let failure: Error | undefined
  const fail = (error: Error) => {
    failure ??= error
    for (const call of open.values()) call.reject(failure)
    open.clear()
  }
  worker.onMessage((message) => {
    const reply = message as Reply
    const call = open.get(reply.id)
    if (!call) return
    if ('progress' in reply) return call.onProgress?.(reply.progress as never)
    open.delete(reply.id)
    if ('error' in reply) call.reject(toError(reply.error))
    else call.resolve(reply.value)
  })
  worker.onError((error) => fail(new Error(`session: the worker failed, ${error.message}`)))
  return {
    async call(name, input, { transfer, signal, onProgress } = {}) {
      if (failure) throw failure
      signal?.throwIfAborted()
      const id = ++count
      const abort = () => worker.post({ id, abort: true })
      signal?.addEventListener('abort', abort)
      try {
        return (await new Promise<unknown>((resolve, reject) => {
          open.set(id, { resolve, reject, onProgress })
          worker.post({ id, call: name, input }, transfer)
        })) as never
      } finally {
        open.delete(id)
        signal?.removeEventListener('abort', abort)
      }
    },
    async stop() {
      fail(new Error('session: was closed'))
      await worker.stop()
    },
  }
}
