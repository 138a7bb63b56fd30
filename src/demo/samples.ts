// Pictures for a first try: tiles of the two sheets that come with the page (where they are from: samples/NOTICE.md).

const SIZE = 28
/** Of a sheet's columns the first are to train on, the rest to try. */
const TRAIN = 30

/** A set of pictures that comes with the page. */
export interface Sample {
  /** Its name as a dataset. */
  readonly name: string
  readonly title: string
  readonly file: string
  readonly classes: readonly string[]
}

export const samples: readonly Sample[] = [
  {
    name: 'Clothes',
    title: 'Clothes',
    file: 'fashion.png',
    classes: ['t-shirt', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'ankle boot'],
  },
  {
    name: 'Digits',
    title: 'Handwritten digits',
    file: 'digits.png',
    classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  },
]

/** One tile and the class it shows. */
export interface SamplePicture {
  source: ImageBitmap
  class: string
  name: string
}

async function sheetOf(sample: Sample): Promise<ImageBitmap> {
  const answer = await fetch(new URL(`samples/${sample.file}`, document.baseURI))
  if (!answer.ok) throw new Error(`The sample pictures could not be read: ${answer.status} ${answer.statusText}`)
  return createImageBitmap(await answer.blob())
}

async function cut(sample: Sample, from: number, to: (columns: number) => number): Promise<SamplePicture[]> {
  const sheet = await sheetOf(sample)
  const columns = Math.floor(sheet.width / SIZE)
  const tiles: Promise<SamplePicture>[] = []
  for (const [row, label] of sample.classes.entries()) {
    for (let column = from; column < to(columns); column++) {
      const name = `${String(column + 1).padStart(3, '0')}.png`
      tiles.push(
        createImageBitmap(sheet, column * SIZE, row * SIZE, SIZE, SIZE).then((source) => ({
          source,
          class: label,
          name,
        })),
      )
    }
  }
  const cutOut = await Promise.all(tiles)
  sheet.close()
  return cutOut
}

/** The pictures to train on. */
export const trainingPictures = (sample: Sample): Promise<SamplePicture[]> => cut(sample, 0, () => TRAIN)

/** Pictures that training has not seen, in a random order. */
export async function unseenPictures(sample: Sample, count: number): Promise<SamplePicture[]> {
  const all = await cut(sample, TRAIN, (columns) => columns)
  const chosen = all
    .map((picture) => ({ picture, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ picture }) => picture)
  for (const picture of all) if (!chosen.includes(picture)) picture.source.close()
  return chosen
}
