// Which files are taken for images: those whose names say so, which decoding looks into, and those whose first bytes say so
// where the name says nothing. The same on a disk and on a page.
import { ReadError } from '../platform/errors.ts'
import { SNIFFED, type Sniffed, sniff } from '../platform/image-formats.ts'
import type { Files } from '../platform/platform.ts'
import { eachOf } from './each-of.ts'
import type { Collector } from './passed-over.ts'

const READ = /\.(jpe?g|jpe|jfif|pjpe?g|pjp|a?png|webp|gif|tiff?|bmp|dib|avif)$/i
/** Pictures of formats that are not read, some of which no first byte tells. */
const UNREAD =
  /\.(hei[cf]s?|hif|svgz?|jxl|jp[2fxm]|j2k|jxr|wdp|psd|psb|xcf|ai|eps|ico|tga|pcx|p[bfgpn]m|exr|hdr|dds|dng|cr[23w]|nef|arw|orf|rw2|raf|pef|srw|raw|dcm|nii)$/i
/** What lies beside images in great numbers; nobody looks into it. */
const OTHER =
  /(\.(txt|jsonl?|csv|tsv|xml|ya?ml|md|html?|ini|cfg|log|db|sqlite|pyc?|[cm]?[jt]s|sh|np[yz]|pkl|pth?|safetensors|mat|docx?|xlsx?|rtf|url|lnk|sha\d*|md5)|^(thumbs\.db|desktop\.ini))$/i

/** Whether a file is taken for an image by its name. */
export const isImageName = (name: string): boolean => READ.test(name)

/** What a file that is no image is called in a count. */
export function endingKind(name: string): string {
  const ending = /\.\w{1,12}$/.exec(name)?.[0].toLowerCase()
  return ending ? `files ending in ${ending}` : 'files that are no images'
}

/** What was found among files. */
export interface Candidates<T> {
  /** Images, as far as their names or first bytes tell. */
  readonly images: T[]
  /** What is no image that can be read but may be meant as one. */
  readonly unread: { readonly file: T; readonly reason: string }[]
  readonly others: T[]
}

/** The first bytes of a file on the disk, for `sniff`. */
export async function headOf(files: Files, path: string): Promise<Uint8Array> {
  return files.readRange(path, 0, Math.min(SNIFFED, (await files.size(path)) ?? 0))
}

/** What a file is by its first bytes, also where they cannot be had. */
export async function sniffWith<T>(file: T, head: (file: T) => Promise<Uint8Array>): Promise<Sniffed> {
  try {
    return sniff(await head(file))
  } catch (error) {
    const reason = error instanceof ReadError ? `the system says ${error.code}` : String(error)
    return { reason, known: true }
  }
}

/** Tells images from all else. */
export async function candidates<T extends { readonly name: string }>(
  files: readonly T[],
  head: (file: T) => Promise<Uint8Array>,
): Promise<Candidates<T>> {
  const found: Candidates<T> = { images: [], unread: [], others: [] }
  const known = await eachOf(files, async (file): Promise<Sniffed | undefined> => {
    if (READ.test(file.name)) return { format: 'JPEG' }
    return OTHER.test(file.name) ? undefined : sniffWith(file, head)
  })
  for (const [i, file] of files.entries()) {
    const what = known[i]
    if (what && 'format' in what) found.images.push(file)
    else if (what && (what.known || UNREAD.test(file.name))) found.unread.push({ file, reason: what.reason })
    else found.others.push(file)
  }
  return found
}

/** Why the first of the images is none, where no first bytes of any say that it is one. */
export async function noneReadable<T extends { readonly name: string }>(
  images: readonly T[],
  head: (file: T) => Promise<Uint8Array>,
): Promise<string | undefined> {
  let reason: string | undefined
  for (const file of images) {
    const what = await sniffWith(file, head)
    if ('format' in what) return undefined
    reason ??= `${file.name}: ${what.reason}`
  }
  return reason
}

/** Tells of all that is not taken; `told` gives a file's name. */
export function tellRest<T extends { readonly name: string }>(
  { unread, others }: Candidates<T>,
  over: Collector,
  told: (file: T) => string,
): void {
  for (const file of others) over.add(endingKind(file.name), told(file))
  for (const { file, reason } of unread) over.add(`files that are not read (${reason})`, told(file))
}
