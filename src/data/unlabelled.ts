// Opens a folder of images that nobody labelled: all below it, whatever folders they are in. Nothing is decoded here.
import { platform } from '#platform'
import { multilabelLabels } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import { candidates, headOf, noneReadable, tellRest } from './candidates.ts'
import { type Dataset, fileDataset } from './dataset.ts'
import { collector, type PassedOver, passedOverText } from './passed-over.ts'
import { placeOf, walk } from './walk.ts'

/** Images without labels. */
export interface UnlabelledData {
  readonly dataset: Dataset
  readonly root: string
  /** What was passed over, by kind and name. */
  readonly ignored: readonly PassedOver[]
}

/**
 * Opens the images of a folder, as a dataset without labels. Throws an InputError where there is no folder, or no image
 * in it that can be read.
 */
export async function openUnlabelled(root: string): Promise<UnlabelledData> {
  const { files } = platform
  if (!files) throw new InputError(`${root}: folders cannot be read in a browser`)
  const kind = await files.kind(root)
  if (kind !== 'folder') {
    const found = kind === undefined ? 'which is not there' : 'a file'
    throw new InputError(`unlabelled: must be a folder of images, got ${root}, ${found}`)
  }
  const over = collector()
  const walked = await walk(files, root, { within: await files.realPath(root), over })
  const found = await candidates(walked, (file) => headOf(files, file.path))
  tellRest(found, over, placeOf)
  const ignored = over.list()
  const paths = found.images.map(({ path }) => path)
  if (paths.length === 0) {
    const also = ignored[0] ? `; ${passedOverText(ignored[0])}` : ''
    throw new InputError(
      `unlabelled: ${root} must have images (JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF), got none${also}`,
    )
  }
  const broken = await noneReadable(found.images, ({ path }) => headOf(files, path))
  if (broken !== undefined) throw new InputError(`unlabelled: no image of ${root} can be read, ${broken}`)
  const labels = paths.map(() => ({ present: [] }))
  return {
    dataset: fileDataset({ files: paths, labels, classes: [], labelSpace: multilabelLabels([]) }),
    root,
    ignored,
  }
}
