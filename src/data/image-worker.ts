// What runs in an image worker: one message names an image and a transform, the answer has the finished pixels.
// rollup makes it one text (`worker:image-worker`) that image-workers.ts starts: in a page that of the session's worker.
import { InputError } from '../platform/errors.ts'
import { shareCount, type Taken } from '../platform/image-budget.ts'
import { BrokenImage, decodeFile, isImage } from './dataset.ts'
import type { ImageAnswer, ImageJob } from './image-workers.ts'
import { sampleRng } from './sampler.ts'
import { type Transform, transformOf } from './transforms.ts'

/** Images decoded at once. */
const AT_ONCE = 4

/** Transforms by their recipe in JSON: the tables of one are made once. */
const made = new Map<string, Transform>()

async function answer(job: ImageJob): Promise<ImageAnswer> {
  const { id, source, recipe } = job
  let digest: string | undefined
  const onDigest = (found: string) => {
    digest = found
  }
  try {
    const key = JSON.stringify(recipe)
    const transform = made.get(key) ?? transformOf(recipe)
    made.set(key, transform)
    const image = isImage(source) ? source : await decodeFile(source, job.digest ? onDigest : undefined)
    const values = new Float32Array(3 * transform.height * transform.width)
    transform.apply(image, sampleRng(job.seed, job.epoch, job.index), values)
    return image.data.length <= job.keep ? { id, values, digest, image } : { id, values, digest }
  } catch (error) {
    if (error instanceof BrokenImage) return { id, digest, broken: { file: error.file, reason: error.reason } }
    return { id, failed: error instanceof Error ? error.message : String(error), input: error instanceof InputError }
  }
}

const waiting: ImageJob[] = []
let running = 0

async function run(): Promise<void> {
  running++
  for (let job = waiting.shift(); job; job = waiting.shift()) {
    const result = await answer(job)
    // Under Node and in a browser's worker the second argument lists what is handed over instead of copied.
    const post = self.postMessage as (message: ImageAnswer, transfer: Transferable[]) => void
    post(result, 'values' in result ? [result.values.buffer] : [])
  }
  running--
}

/** Makes this thread an image worker. */
export function makeImages(): void {
  self.onmessage = ({ data }: MessageEvent<ImageJob | Taken>) => {
    // First comes the count of what all threads decode together, where they can share it.
    if (!('id' in data)) return shareCount(data)
    waiting.push(data)
    if (running < AT_ONCE) run()
  }
}
