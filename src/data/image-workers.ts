// Image workers: threads that decode and transform images beside the training. All loops over batches share them; they
// start at the first large image and end soon after the last loop. What one does is in image-worker.ts.

import { source } from 'worker:image-worker'
import { platform } from '#platform'
import { InputError } from '../platform/errors.ts'
import { renewCount, sharedCount } from '../platform/image-budget.ts'
import type { RgbImage, WorkerHandle } from '../platform/platform.ts'
import { BrokenImage } from './dataset.ts'
import type { Recipe } from './transforms.ts'

/** One image to make. */
export interface ImageJob {
  readonly id: number
  readonly source: string | File | RgbImage
  /** Most bytes of a decoded image to send back beside the pixels. */
  readonly keep: number
  /** Whether the SHA-256 of the file is wanted too. */
  readonly digest: boolean
  readonly recipe: Recipe
  readonly seed: number
  readonly epoch: number
  readonly index: number
}

/** What a worker says to a job. */
export type ImageAnswer = { readonly id: number; readonly digest?: string | undefined } & (
  | { readonly values: Float32Array<ArrayBuffer>; readonly image?: RgbImage }
  | { readonly broken: { readonly file: string; readonly reason: string } }
  | { readonly failed: string; readonly input: boolean }
)

/** A share of the workers. */
export interface ImageWorkers {
  /** Rejects with what decoding or the transform threw, or with NoWorkers; a digest that was found is told first. */
  make(
    job: Omit<ImageJob, 'id' | 'digest'>,
    onDigest: ((digest: string) => void) | undefined,
  ): Promise<{ values: Float32Array; image?: RgbImage }>
  release(): void
}

/** The workers could not start, or one has ended: images have to be made here. */
export class NoWorkers extends Error {
  override name = 'NoWorkers'
}

/** Workers outlive their last user by this much, so that the next epoch need not start them. */
const LINGER = 500 // ms

interface Pending {
  readonly worker: number
  onDigest: ((digest: string) => void) | undefined
  resolve(answer: { values: Float32Array; image?: RgbImage }): void
  reject(error: Error): void
}

interface Pool {
  readonly make: ImageWorkers['make']
  users: number
  /** Whether it has work to do. */
  busy(): boolean
  stop(): void
}

let pool: Pool | undefined
/** Set for good once workers have failed: where they may not start they are not tried at every image. */
let lost: NoWorkers | undefined

function startPool(count: number): Pool {
  const pending = new Map<number, Pending>()
  const load = new Int32Array(count)
  let next = 0
  const take = (id: number): Pending | undefined => {
    const job = pending.get(id)
    if (!job) return undefined
    pending.delete(id)
    // A worker at work keeps the process alive, an idle one does not.
    if (--load[job.worker]! === 0) workers[job.worker]!.hold(false)
    return job
  }
  const lose = (error: Error): void => {
    lost = new NoWorkers(`images: a worker failed, ${error.message}`)
    for (const id of [...pending.keys()]) take(id)?.reject(lost)
  }
  const workers = Array.from({ length: count }, (): WorkerHandle => {
    const worker = platform.startWorker(source())
    const count = sharedCount()
    if (count) worker.post(count)
    worker.onError(lose)
    worker.onMessage((message) => {
      const answer = message as ImageAnswer
      const job = take(answer.id)
      if (answer.digest !== undefined) job?.onDigest?.(answer.digest)
      if ('values' in answer) job?.resolve(answer)
      else if ('broken' in answer) job?.reject(new BrokenImage(answer.broken.file, answer.broken.reason))
      else job?.reject(answer.input ? new InputError(answer.failed) : new Error(answer.failed))
    })
    return worker
  })
  return {
    users: 0,
    make: (job, onDigest) =>
      new Promise((resolve, reject) => {
        if (lost) return reject(lost)
        const worker = load.indexOf(Math.min(...load))
        const id = next++
        pending.set(id, { worker, onDigest, resolve, reject })
        if (load[worker]!++ === 0) workers[worker]!.hold(true)
        workers[worker]!.post({ ...job, id, digest: onDigest !== undefined })
      }),
    busy: () => pending.size > 0,
    stop() {
      for (const id of [...pending.keys()]) take(id)?.reject(new Error('images: no longer wanted'))
      for (const worker of workers) worker.stop().catch(() => {})
      renewCount()
    },
  }
}

/** One for four cores; where they could not count together what they decode, only one. */
const most = () => (sharedCount() ? Math.max(1, Math.min(4, Math.floor(platform.cores / 4))) : 1)

/** A share of the workers, which start with the first; undefined where there are none to be had, or none that would see the files. */
export function imageWorkers(): ImageWorkers | undefined {
  if (lost || platform.files?.shared === false) return undefined
  try {
    pool ??= startPool(most())
  } catch (error) {
    lost = new NoWorkers(`images: no worker can be started, ${error}`)
    return undefined
  }
  const mine = pool
  mine.users++
  let released = false
  return {
    make: mine.make,
    release() {
      if (released) return
      released = true
      if (--mine.users > 0) return
      const end = () => {
        if (mine.users > 0 || pool !== mine) return
        mine.stop()
        pool = undefined
      }
      // What is still being made is for a loop that has been left.
      if (mine.busy()) return end()
      const timer: unknown = setTimeout(end, LINGER)
      // Under Node the timer would keep the process waiting.
      if (typeof timer === 'object') (timer as { unref(): void }).unref()
    },
  }
}
