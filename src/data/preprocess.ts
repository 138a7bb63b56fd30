// How a model wants its images: preprocessor_config.json (Hugging Face's ViT, DeiT and Bit processors) or a timm
// pretrained_cfg, checked and with each processor's own defaults. What is done with it is in transforms.ts.
import { InputError } from '../platform/errors.ts'
import type { ResizeFilter } from './resize.ts'

/** Height and width in pixels. */
export interface Size {
  readonly height: number
  readonly width: number
}

type Triple = readonly [number, number, number]

/** Resize, then centre crop, then `(value * scale - mean) / std` a channel. Plain data: it can be stored as JSON. */
export interface Preprocess {
  /** To this shortest edge with the aspect kept, or to exactly this size; null leaves the image as it is. */
  readonly resize: { readonly shortest: number } | Size | null
  readonly filter: ResizeFilter
  /** Centre crop, padded with zeros where the image is smaller; null for none. */
  readonly crop: Size | null
  /** The size that images must have behind the resize, where neither it nor a crop sees to that. */
  readonly exact?: Size
  /** 1/255, or 1 where the processor does not rescale. */
  readonly scale: number
  readonly mean: Triple
  readonly std: Triple
}

/** Channel means and deviations of ImageNet. */
export const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const
const CLIP = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] } as const
const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const

const square = (n: number): Size => ({ height: n, width: n })

/** What each processor class of Hugging Face does where its file is silent. */
export const processors = {
  vit: { resize: square(224), filter: 'bilinear', crop: null, scale: 1 / 255, ...HALF },
  deit: { resize: square(256), filter: 'bicubic', crop: square(224), scale: 1 / 255, ...HALF },
  bit: { resize: { shortest: 224 }, filter: 'bicubic', crop: square(224), scale: 1 / 255, ...CLIP },
  clip: { resize: { shortest: 224 }, filter: 'bicubic', crop: square(224), scale: 1 / 255, ...CLIP },
} satisfies Record<string, Preprocess>

// Numbers of Pillow's Resampling. Nearest (0) is not among them: no published processor of these models uses it.
const resamples: Record<number, ResizeFilter> = { 1: 'lanczos', 2: 'bilinear', 3: 'bicubic', 4: 'box', 5: 'hamming' }

const LIMIT = 16384

type Json = Readonly<Record<string, unknown>>

function fail(key: string, rule: string, value: unknown): never {
  throw new InputError(`preprocessor: ${key} must be ${rule}, got ${JSON.stringify(value)?.slice(0, 100)}`)
}

function pixels(value: unknown, key: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= LIMIT) return value
  return fail(key, `a whole number of pixels from 1 to ${LIMIT}`, value)
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function flag(json: Json, key: string, fallback: boolean): boolean {
  const value = json[key] ?? fallback
  return typeof value === 'boolean' ? value : fail(key, 'true or false', value)
}

function triple(value: unknown, fallback: Triple, key: string, positive: boolean): Triple {
  if (value === undefined || value === null) return fallback
  const list = typeof value === 'number' ? [value, value, value] : value
  const fits = (x: unknown) => typeof x === 'number' && Number.isFinite(x) && (!positive || x > 0)
  if (!Array.isArray(list) || list.length !== 3 || !list.every(fits)) {
    return fail(key, `three ${positive ? 'positive ' : ''}numbers`, value)
  }
  return [list[0], list[1], list[2]]
}

/** `size` as Hugging Face writes it: a number, { shortest_edge } or { height, width }. */
function resizeSize(value: unknown, shortest: boolean): { shortest: number } | Size {
  if (typeof value === 'number') {
    const n = pixels(value, 'size')
    return shortest ? { shortest: n } : square(n)
  }
  if (isRecord(value)) {
    if ((value.longest_edge ?? null) !== null) fail('size.longest_edge', 'left out', value.longest_edge)
    if ('shortest_edge' in value) return { shortest: pixels(value.shortest_edge, 'size.shortest_edge') }
    if ('height' in value && 'width' in value) {
      return { height: pixels(value.height, 'size.height'), width: pixels(value.width, 'size.width') }
    }
  }
  return fail('size', 'a number, { shortest_edge } or { height, width }', value)
}

function cropSize(value: unknown): Size {
  const size = typeof value === 'number' ? square(value) : value
  if (!isRecord(size)) return fail('crop_size', 'a number or { height, width }', value)
  return { height: pixels(size.height, 'crop_size.height'), width: pixels(size.width, 'crop_size.width') }
}

const typeOf = (json: Json) => String(json.image_processor_type ?? json.feature_extractor_type ?? '')

function processorOf(json: Json): keyof typeof processors | undefined {
  const name = typeOf(json).toLowerCase()
  return (Object.keys(processors) as (keyof typeof processors)[]).find((kind) => name.startsWith(kind))
}

/** The processor class that a file names, where it is none of those whose rules are known. */
export function unknownProcessor(json: Json): string | undefined {
  return typeOf(json) === '' || processorOf(json) ? undefined : typeOf(json)
}

/** Fields of other processors that change the pixels, with when they do. */
const foreign: readonly [string, (value: unknown) => boolean][] = [
  ['crop_pct', () => true],
  ['rescale_offset', (v) => v !== false],
]

/** What processors do that is done here, or changes no pixel of an RGB image. */
const done = /^do_(resize|center_crop|rescale|normalize|convert_rgb|reduce_labels)$/

function checkForeign(json: Json): void {
  const steps = Object.keys(json).filter((key) => key.startsWith('do_') && !done.test(key))
  for (const [key, changes] of [...foreign, ...steps.map((key) => [key, (v: unknown) => v !== false] as const)]) {
    const value = json[key]
    if (value !== undefined && value !== null && changes(value))
      fail(key, 'left out, it is not known how to do it', value)
  }
}

/** Throws unless every image comes out at one size; returns that size. */
export function outputSize(preprocess: Preprocess): Size {
  if (preprocess.crop) return preprocess.crop
  if (preprocess.resize && 'height' in preprocess.resize) return preprocess.resize
  if (preprocess.exact) return preprocess.exact
  throw new InputError(
    'preprocessor: must bring all images to one size, got neither a centre crop nor an exact size; set do_center_crop',
  )
}

/**
 * The preprocessing of a parsed preprocessor_config.json, or `model`, that of the model's published checkpoints, where there
 * is none. Keys the file lacks follow the processor class it names. Where it neither resizes nor crops, images must have the
 * size `own`, that of the model.
 */
export function readPreprocessor(json: unknown, model: Preprocess, own?: Size): Preprocess {
  if (json === undefined || json === null) return model
  if (!isRecord(json)) throw new InputError('preprocessor: must be a JSON object')
  checkForeign(json)
  const kind = processorOf(json)
  const base: Preprocess = kind ? processors[kind] : model
  const shortest = base.resize !== null && 'shortest' in base.resize

  const resample = json.resample ?? undefined
  const isNumber = typeof resample === 'number' || typeof resample === 'string'
  const filter = resample === undefined ? base.filter : isNumber ? resamples[Number(resample)] : undefined
  if (!filter) return fail('resample', `one of ${Object.keys(resamples).join(', ')} (Pillow's numbers)`, resample)
  const size = json.size ?? undefined
  const resize = size === undefined ? base.resize : resizeSize(size, shortest)
  const crops = flag(json, 'do_center_crop', base.crop !== null)
  const crop =
    json.crop_size === undefined || json.crop_size === null ? (base.crop ?? square(224)) : cropSize(json.crop_size)
  const factor = json.rescale_factor ?? 1 / 255
  if (typeof factor !== 'number' || !(factor > 0 && Number.isFinite(factor))) {
    return fail('rescale_factor', 'a positive number', factor)
  }
  const normalises = flag(json, 'do_normalize', true)
  const resized = flag(json, 'do_resize', true) ? resize : null
  const exact = crops
    ? undefined
    : resized === null
      ? own
      : 'shortest' in resized
        ? square(resized.shortest)
        : undefined
  const preprocess: Preprocess = {
    resize: resized,
    filter,
    crop: crops ? crop : null,
    ...(exact ? { exact } : {}),
    scale: flag(json, 'do_rescale', true) ? factor : 1,
    mean: normalises ? triple(json.image_mean, base.mean, 'image_mean', false) : [0, 0, 0],
    std: normalises ? triple(json.image_std, base.std, 'image_std', true) : [1, 1, 1],
  }
  outputSize(preprocess)
  return preprocess
}

/** The preprocessing of a timm `pretrained_cfg`: resize the shortest edge to size / crop_pct, centre crop, normalise. */
export function parseTimmPreprocessor(json: unknown): Preprocess {
  const config = isRecord(json) ? json : {}
  const input = Array.isArray(config.input_size) ? config.input_size : [3, 224, 224]
  const crop = { height: pixels(input[1], 'input_size[1]'), width: pixels(input[2], 'input_size[2]') }
  const part = config.crop_pct ?? 0.875
  if (typeof part !== 'number' || !(part > 0 && part <= 1)) return fail('crop_pct', 'above 0 and at most 1', part)
  const name = String(config.interpolation ?? 'bicubic')
  const filter = Object.values(resamples).find((known) => known === name)
  if (!filter) return fail('interpolation', `one of ${Object.values(resamples).join(', ')}`, name)
  const exact = { height: Math.floor(crop.height / part), width: Math.floor(crop.width / part) }
  const mode = config.crop_mode ?? 'center'
  if (mode !== 'center' && mode !== 'squash') return fail('crop_mode', 'center or squash', mode)
  return {
    resize: mode === 'squash' ? exact : { shortest: Math.min(exact.height, exact.width) },
    filter,
    crop,
    scale: 1 / 255,
    mean: triple(config.mean, IMAGENET.mean, 'mean', false),
    std: triple(config.std, IMAGENET.std, 'std', true),
  }
}

/** The same preprocessing for another input size: the resize before a crop grows with it (256/224 to 512/448). */
export function withInputSize(preprocess: Preprocess, size: number | Size): Preprocess {
  const wanted = typeof size === 'number' ? square(size) : size
  pixels(wanted.height, 'size')
  pixels(wanted.width, 'size')
  const { resize, crop, exact } = preprocess
  if (!crop) return exact && !resize ? { ...preprocess, exact: wanted } : { ...plain(preprocess), resize: wanted }
  const grown = (n: number, to: number, part: number) => Math.max(1, Math.round((n * to) / part))
  const bigger = (from: NonNullable<Preprocess['resize']>): Preprocess['resize'] =>
    'shortest' in from
      ? { shortest: grown(from.shortest, Math.min(wanted.height, wanted.width), Math.min(crop.height, crop.width)) }
      : { height: grown(from.height, wanted.height, crop.height), width: grown(from.width, wanted.width, crop.width) }
  return { ...preprocess, resize: resize && bigger(resize), crop: wanted }
}

function plain({ exact: _, ...rest }: Preprocess): Preprocess {
  return rest
}
