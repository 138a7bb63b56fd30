// Memory of the host in which a run keeps features of images from epoch to epoch. What does not fit is computed anew.
import { platform } from '#platform'

/** Room that the sources of a run share. */
export interface FeatureRoom {
  /** For how many of these images of so many bytes there is room; it is theirs from now on. */
  take(images: number, bytes: number): number
  /** What did not fit, a sentence each. */
  readonly notes: readonly string[]
}

/** Of what the run leaves of the machine's memory: images, workers and others want some too. */
const SHARE = 0.25
/** Bytes where nobody says how much memory there is, in a page: as many as decoded images may take. */
const UNKNOWN = 256e6

/** Most bytes of features beside a run that itself takes `reserved`. */
export function roomBeside(reserved: number): number {
  const limit = platform.memoryLimit()
  return limit === undefined ? UNKNOWN : Math.max(0, SHARE * (limit - reserved))
}

const size = (bytes: number) =>
  bytes < 2 ** 30 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`

/** Room of so many bytes. */
export function featureRoom(bytes: number): FeatureRoom {
  let left = bytes
  const notes: string[] = []
  return {
    notes,
    take(images, each) {
      const count = Math.min(images, Math.floor(left / each))
      left -= count * each
      if (count < images) {
        notes.push(
          `keeps the features of ${count} of ${images} images, for which there are ${size(bytes)}; those of the others are computed in each epoch`,
        )
      }
      return count
    },
  }
}
