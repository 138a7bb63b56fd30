// What a run begins from, so that it can tell later whether it still does: weights, configuration, preprocessing and the
// adapter that was put on.
import { platform } from '#platform'
import type { Preprocess } from '../data/preprocess.ts'
import { adapterFiles, type Checkpoint } from '../io/checkpoint.ts'
import { localFiles } from '../io/local-files.ts'
import type { AnyConfig } from '../models/registry.ts'
import { packings } from '../tensor/packing/registry.ts'
import type { Change } from './image-changes.ts'

/** A model by what it is. Digests are SHA-256 in hex, absent where the engine has none. */
export interface Fingerprint {
  /** Of the weights as they were read, whatever files they lie in. */
  readonly weights?: string
  /** config.json as it is understood, without the classes. */
  readonly config: Readonly<Record<string, unknown>>
  /** Of the classes' names. */
  readonly classes?: string
  /** Of the adapter's weights and settings. */
  readonly adapter?: string
}

const textDigest = (text: string) => platform.digest(new TextEncoder().encode(text))

/** A checkpoint whose tensors are hashed as they are read, beside the reading. */
export function hashed(checkpoint: Checkpoint): { checkpoint: Checkpoint; digest(): Promise<string | undefined> } {
  const digests = new Map<string, string | undefined>()
  // One at a time, since the engine may copy what it hashes.
  let running: Promise<void> = Promise.resolve()
  async function hash(name: string, { buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>) {
    await running
    if (digests.has(name)) return
    digests.set(name, undefined)
    running = platform
      .digest(new Uint8Array(buffer, byteOffset, byteLength))
      .then((digest) => void digests.set(name, digest))
  }
  return {
    checkpoint: {
      ...checkpoint,
      async read(name) {
        const values = await checkpoint.read(name)
        await hash(name, values)
        return values
      },
      packed(name) {
        const found = checkpoint.packed(name)
        if (!found) return undefined
        // By what its numbers are, so that a weight is the same one however it is read.
        const read = async () => {
          const packed = await found.read()
          await hash(name, packings[found.format].decode(packed, found.shape, found))
          return packed
        }
        return { ...found, read }
      },
    },
    async digest() {
      await running
      const lines = [...digests].sort(([a], [b]) => (a < b ? -1 : 1))
      if (lines.some(([, digest]) => digest === undefined)) return undefined
      return textDigest(JSON.stringify(lines.map(([name, digest]) => [name, checkpoint.info(name).shape, digest])))
    },
  }
}

/** The fingerprint of a model as it was loaded, before anything was changed in it. */
export async function fingerprint(config: AnyConfig, weights: string | undefined): Promise<Fingerprint> {
  const { classes, ...rest } = config
  const named = await textDigest(JSON.stringify(classes))
  return {
    ...(weights === undefined ? {} : { weights }),
    config: rest,
    ...(named === undefined ? {} : { classes: named }),
  }
}

/** What to add for an adapter that is put on. */
export async function adapterFingerprint(folder: string): Promise<Pick<Fingerprint, 'adapter'>> {
  const files = localFiles(folder)
  const digests: (string | undefined)[] = []
  for (const name of [adapterFiles.config, adapterFiles.weights]) {
    digests.push(await platform.digest(await files.read(files.join(folder, name))))
  }
  const adapter = digests.includes(undefined) ? undefined : await textDigest(JSON.stringify(digests))
  return adapter === undefined ? {} : { adapter }
}

/** Names of the fields of `before` that are not the same now. */
function differing(before: object, now: object): string[] {
  const fields = now as Record<string, unknown>
  return Object.entries(before)
    .filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(fields[name]))
    .map(([name]) => name)
}

/** What a run's model and its preprocessing are no longer, against what run.json recorded of them. */
export function modelChanges(
  before: Readonly<Record<string, unknown>>,
  now: { readonly fingerprint?: Fingerprint; readonly preprocess: Preprocess },
): Change[] {
  const changes: Change[] = []
  const then = (before.fingerprint ?? {}) as Partial<Fingerprint>
  const today: Partial<Fingerprint> = now.fingerprint ?? {}
  const compare = (name: 'weights' | 'classes' | 'adapter', what: string) => {
    if (then[name] === undefined || today[name] === undefined || then[name] === today[name]) return
    changes.push({ what, names: [] })
  }
  compare('weights', "the model's weights changed")
  const fields = differing(then.config ?? {}, today.config ?? then.config ?? {})
  if (fields.length > 0) changes.push({ what: "the model's config.json changed", names: fields })
  compare('classes', "the names of the model's classes changed")
  const pixels = differing((before.preprocess ?? {}) as object, now.preprocess)
  if (pixels.length > 0) changes.push({ what: "the model's preprocessor changed", names: pixels })
  compare('adapter', 'the adapter it began with changed')
  return changes
}
