// Pictures for a first try: tiles of the sheets that come with the page (where they are from: samples/NOTICE.md).
import type { Labelling } from '../labels/labelling.ts'

/** One tile and what it shows. */
export interface SamplePicture {
  source: ImageBitmap
  class?: string
  labels?: readonly string[]
  name: string
}

/** A set of pictures that comes with the page. */
export interface Sample {
  /** Its name as a dataset. */
  readonly name: string
  readonly title: string
  readonly labelling: Labelling
  /** Its pictures to train on, or those that training does not see. */
  cut(part: 'train' | 'try'): Promise<SamplePicture[]>
}

async function fetched(file: string): Promise<Response> {
  const answer = await fetch(new URL(`samples/${file}`, document.baseURI))
  if (!answer.ok) throw new Error(`The sample pictures could not be read: ${answer.status} ${answer.statusText}`)
  return answer
}
const sheetOf = async (file: string): Promise<ImageBitmap> => createImageBitmap(await (await fetched(file)).blob())

/** A sheet with one row a class, of whose columns the first are to train on, the rest to try. */
function rowsOf(file: string, classes: readonly string[]): Sample['cut'] {
  const [size, train] = [28, 30]
  return async (part) => {
    const sheet = await sheetOf(file)
    const columns = Math.floor(sheet.width / size)
    const [from, to] = part === 'train' ? [0, train] : [train, columns]
    const tiles = classes.flatMap((label, row) =>
      Array.from({ length: to - from }, async (_, i): Promise<SamplePicture> => {
        const name = `${String(from + i + 1).padStart(3, '0')}.png`
        return { source: await createImageBitmap(sheet, (from + i) * size, row * size, size, size), class: label, name }
      }),
    )
    const cut = await Promise.all(tiles)
    sheet.close()
    return cut
  }
}

/** An emoji: its group and kind, and its tags; only some have both. */
interface Emoji {
  readonly name: string
  readonly path?: readonly string[]
  readonly tags?: readonly string[]
}

/** Emoji, of which two companies' drawings are to train on and a third's to try; `shows` says what one shows, if it is taken. */
function emoji(shows: (one: Emoji) => Pick<SamplePicture, 'class' | 'labels'> | undefined): Sample['cut'] {
  const [size, columns] = [32, 25]
  return async (part) => {
    const all = (await (await fetched('emoji.json')).json()) as Emoji[]
    const drawings = part === 'train' ? ['noto', 'fluent'] : ['twemoji']
    const sheets = await Promise.all(
      drawings.map(async (drawing) => {
        const sheet = await sheetOf(`emoji-${drawing}.png`)
        const tiles = all.flatMap((one, i) => {
          const shown = shows(one)
          if (!shown) return []
          const [x, y] = [(i % columns) * size, Math.floor(i / columns) * size]
          const tile = createImageBitmap(sheet, x, y, size, size)
          return [tile.then((source): SamplePicture => ({ source, ...shown, name: `${one.name} ${drawing}.png` }))]
        })
        const cut = await Promise.all(tiles)
        sheet.close()
        return cut
      }),
    )
    return sheets.flat()
  }
}

const clothes = ['t-shirt', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'ankle boot']
const digits = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']

export const samples: readonly Sample[] = [
  { name: 'Clothes', title: 'clothes', labelling: 'classes', cut: rowsOf('fashion.png', clothes) },
  { name: 'Digits', title: 'handwritten digits', labelling: 'classes', cut: rowsOf('digits.png', digits) },
  {
    name: 'Emoji with tags',
    title: 'emoji with tags',
    labelling: 'labels',
    cut: emoji(({ tags }) => tags && { labels: tags }),
  },
  {
    name: 'Emoji in a tree',
    title: 'emoji in a tree',
    labelling: 'tree',
    cut: emoji(({ path }) => path && { class: path.join('/') }),
  },
]

/** Pictures that training has not seen, in a random order. */
export async function unseenPictures(sample: Sample, count: number): Promise<SamplePicture[]> {
  const all = await sample.cut('try')
  const chosen = all
    .map((picture) => ({ picture, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ picture }) => picture)
  for (const picture of all) if (!chosen.includes(picture)) picture.source.close()
  return chosen
}
