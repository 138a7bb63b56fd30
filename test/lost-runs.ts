// What tests of lost devices share: small folders of images, and runs whose device is taken away at given steps.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { type TrainEvent, type TrainOptions, train } from 'vitune'
import { type Backend, Rng } from 'vitune/tensor'
import { fixtures } from './small-vit.ts'

export const folder = mkdtempSync(join(tmpdir(), 'vitune-lost-'))
export const cleanUp = () => rmSync(folder, { recursive: true })
export const model = join(fixtures, 'checkpoints/vit')

/** Two classes of eight noisy images. */
export async function photos(): Promise<string> {
  const into = join(folder, 'photos')
  for (const [label, name] of ['blue', 'red'].entries()) {
    mkdirSync(join(into, name), { recursive: true })
    for (let i = 0; i < 8; i++) {
      const rng = new Rng(i, 50 + label)
      const raw = Uint8Array.from(
        { length: 20 * 20 * 3 },
        (_, j) => 60 + 120 * Number(j % 3 === 2 * (1 - label)) + 60 * rng.uniform(),
      )
      await sharp(raw, { raw: { width: 20, height: 20, channels: 3 } })
        .png()
        .toFile(join(into, name, `${i}.png`))
    }
  }
  return into
}

export interface Seen {
  /** Losses by step; what is repeated must repeat. */
  losses: Map<number, number[]>
  events: TrainEvent[]
  started: Backend[]
}

/** Trains; after each of these steps of a backend's run, in order, `lose` takes the backend away. */
export async function lossy<B extends Backend>(
  options: TrainOptions,
  start: () => Promise<B>,
  steps: readonly number[],
  lose: (backend: B) => void,
): Promise<Seen> {
  const seen: Seen = { losses: new Map(), events: [], started: [] }
  const left = [...steps]
  let backend: B | undefined
  const startBackend = async () => {
    backend = await start()
    seen.started.push(backend)
    return backend
  }
  for await (const event of train({ ...options, startBackend })) {
    seen.events.push(event)
    if (event.kind !== 'step') continue
    seen.losses.set(event.step, [...(seen.losses.get(event.step) ?? []), event.loss])
    if (event.step !== left[0]) continue
    left.shift()
    lose(backend!)
  }
  return seen
}
