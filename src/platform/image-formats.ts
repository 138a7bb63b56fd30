// The one table of image formats: what a file is by its first bytes, never by its name. Nothing is decoded here.
// docs/images.md shows it to users.

/** Formats that are read; AVIF and TIFF not by every browser. */
export type ImageFormat = 'JPEG' | 'PNG' | 'WebP' | 'GIF' | 'BMP' | 'TIFF' | 'AVIF'

/** Bytes from the start of a file that tell what it is. */
export const SNIFFED = 512

/** Stands for any byte in the beginnings below. */
const ANY = '·'
const any = (count: number) => ANY.repeat(count)
/** A bitmap's header by its length, since text may begin with BM. */
const bitmap = (header: number) => `BM${any(12)}${String.fromCharCode(header)}\0\0\0`

const photo = 'convert it to JPEG or PNG'
const drawing = 'export it as PNG'
const odd = 'convert it to PNG'
const packed = 'unpack it'

/** What files hold by how they begin, the first that fits: a format without a remedy is read. */
const kinds: readonly [name: string, starts: readonly string[], remedy?: string][] = [
  ['JPEG', ['\xff\xd8\xff']],
  ['PNG', ['\x89PNG\r\n\x1a\n']],
  ['WebP', ['RIFF····WEBP']],
  ['GIF', ['GIF87a', 'GIF89a']],
  ['BMP', [12, 40, 52, 56, 64, 108, 124].map(bitmap)],
  ["a camera's raw file", ['II*\0····CR', '····ftypcrx', 'FUJIFILMCCD', 'IIRO', 'IIRS', 'IIU\0'], photo],
  ['TIFF', ['II*\0', 'MM\0*', 'II+\0', 'MM\0+']],
  ['HEIC', ['····ftyphei', '····ftyphev', '····ftypmif', '····ftypmsf'], photo],
  ['a video', ['····ftyp', '\x1aE\xdf\xa3', 'RIFF····AVI '], 'export single pictures'],
  ['JPEG XL', ['\xff\x0a', '\0\0\0\x0cJXL '], photo],
  ['JPEG 2000', ['\0\0\0\x0cjP  ', '\xff\x4f\xff\x51'], photo],
  ['JPEG XR', ['II\xbc'], photo],
  ['a PDF document', ['%PDF'], 'export its pictures'],
  ['a PostScript drawing', ['%!PS', '\xc5\xd0\xd3\xc6'], drawing],
  ['a Photoshop file', ['8BPS', '8BPB'], drawing],
  ['a GIMP file', ['gimp xcf'], drawing],
  ['an icon file', ['\0\0\x01\0·\0', '\0\0\x02\0·\0'], odd],
  ['PNM', [...'1234567'].flatMap((n) => [`P${n}\n`, `P${n} `, `P${n}\r`]), odd],
  ['a picture of high dynamic range', ['v/1\x01', '#?R'], odd],
  ['of a format that few programs read', ['DDS ', 'qoif', 'SIMPLE  =', '\x8aMNG', '\x8bJNG'], odd],
  ['a DICOM file', [`${any(128)}DICM`], 'save its pictures as PNG'],
  ['an array, no picture', ['\x93NUMPY', '\x89HDF'], 'save its pictures as PNG'],
  ['a ZIP archive', ['PK\x03\x04', 'PK\x05\x06'], packed],
  ['an archive', ['\x1f\x8b', 'BZh', '\xfd7zXZ', '7z\xbc\xaf', 'Rar!', '\x28\xb5\x2f\xfd', `${any(257)}ustar`], packed],
  ['a Git LFS pointer in place of the picture', ['version https://git-lfs'], 'run git lfs pull'],
]

const begins = (text: string, start: string): boolean =>
  text.length >= start.length && [...start].every((c, i) => c === ANY || c === text[i])

/** The brands that a file of AVIF's and HEIC's container names in its first box. */
const brands = (text: string): string => text.slice(8, (text.charCodeAt(2) << 8) | text.charCodeAt(3))

/** What text is: a drawing, a page or words. */
function textKind(text: string): [name: string, remedy: string, known?: true] | undefined {
  const plain = text.replace(/^\xef\xbb\xbf/, '').trimStart()
  if (/^<(!doctype\s+html|html)/i.test(plain)) return ['a web page, no picture', 'fetch the picture again']
  if (plain.startsWith('<')) {
    const drawn = /<([\w-]+:)?svg[\s/>]/i.test(plain)
    return drawn ? ['an SVG drawing, no pixels', drawing, true] : ['XML, no picture', 'remove it']
  }
  if (/^[\s\x20-\x7e]+$/.test(plain)) return ['text, no picture', 'fetch the picture again']
  return /[^\0]/.test(text)
    ? undefined
    : ['nothing but zeros, as a download that broke off leaves it', 'fetch it again']
}

/** What the first bytes of a file say: a format that is read, or why it is not; `known` for what may be meant as a picture. */
export type Sniffed = { readonly format: ImageFormat } | { readonly reason: string; readonly known: boolean }

/** What a file is by its first `SNIFFED` bytes. */
export function sniff(bytes: Uint8Array): Sniffed {
  if (bytes.length === 0) return { reason: 'it is empty', known: false }
  const text = String.fromCharCode(...bytes.subarray(0, SNIFFED))
  if (begins(text, '····ftyp') && /avi[fs]/.test(brands(text))) return { format: 'AVIF' }
  const kind = kinds.find(([, starts]) => starts.some((start) => begins(text, start)))
  if (kind && kind[2] === undefined) return { format: kind[0] as ImageFormat }
  const [name, remedy, known] = kind ? [kind[0], kind[2], true] : (textKind(text) ?? [])
  return { reason: name ? `it is ${name}; ${remedy}` : 'it is of no known image format', known: known === true }
}
