// The transforms of training images that configurations of OTX and getitune name, as the table `augment`, with the defaults of
// torchvision 0.30, kornia 0.8 and OTX 2.6. How images are resized and normalised to be validated is the model's own to say.
import type { Augmentations } from '../../data/augmentations.ts'
import { atLeast, choice, either, type Rule, span, whole, within } from '../../schema/rules.ts'
import type { TrainSettings } from '../settings.ts'
import { type ClassOf, type Entry, fixed, idle, inputSize, type Reader, type Table, walkList } from './reading.ts'

/** What each may be is for `augment` to say. */
const range = span(-1000, 1000, 'two numbers')
const probability: Rule<number> = within(0, 1, 'a probability')
const common = idle(
  'is_numpy_to_tvtensor',
  'inplace',
  'keepdim',
  'same_on_batch',
  'antialias',
  'interpolation',
  'resample',
  'fill',
)

/** A transform whose arguments make one entry of the table; undefined leaves it out. */
const makes = (name: string, args: Readonly<Record<string, Entry>>, entry: (args: Table) => unknown): ClassOf => ({
  role: 'transform',
  args: { ...common, ...args },
  apply(given, draft) {
    const made = entry(given)
    if (made === undefined) return
    const { augment } = draft.settings
    draft.settings.augment = { ...(typeof augment === 'object' ? augment : {}), [name]: made } as Augmentations
  },
})
/** The same under several names. */
const each = (names: readonly string[], kind: ClassOf): Record<string, ClassOf> =>
  Object.fromEntries(names.map((name) => [name, kind]))
/** What is done in any case, or by the model's own configuration. */
const none: ClassOf = { role: 'transform', args: 'idle' }

const tv = (...names: string[]) =>
  names.flatMap((name) => [`torchvision.transforms.v2.${name}`, `torchvision.transforms.${name}`])
const kornia = (...names: string[]) => names.map((name) => `kornia.augmentation.${name}`)
const otx = (...names: string[]) => names.map((name) => `otx.data.transform_libs.torchvision.${name}`)

const aspect = [3 / 4, 4 / 3]
const flips = (name: 'flip' | 'verticalFlip') => makes(name, { p: probability }, ({ p = 0.5 }) => p)
const colours = {
  brightness: atLeast(0),
  contrast: atLeast(0),
  saturation: atLeast(0),
  hue: within(0, 0.5, 'a share of the circle'),
}
const ofColours = ({ brightness = 0, contrast = 0, saturation = 0, hue = 0, p = 1 }: Table) => ({
  brightness,
  contrast,
  saturation,
  hue,
  p,
})
const oddKernel = either(whole(1, 99, 'an odd number of pixels'), range)
const kernelOf = (kernel: unknown) => (Array.isArray(kernel) ? kernel[0] : kernel)
const blur = (args: Readonly<Record<string, Entry>>, p: (args: Table) => unknown) =>
  makes('blur', { kernel_size: oddKernel, sigma: range, ...args }, (given) => ({
    kernel: kernelOf(given.kernel_size ?? 5),
    sigma: given.sigma ?? [0.1, 2],
    p: p(given),
  }))
const noise = (args: Readonly<Record<string, Entry>>, entry: (args: Table) => unknown) =>
  makes('noise', { mean: fixed(0), ...args }, entry)
const degrees = within(0, 180, 'degrees')

export const transforms: Readonly<Record<string, ClassOf>> = {
  ...each(
    otx('RandomResizedCrop'),
    makes(
      'crop',
      {
        scale: inputSize,
        crop_ratio_range: range,
        aspect_ratio_range: range,
        ...idle('max_attempts', 'transform_mask'),
      },
      (args) => ({
        area: args.crop_ratio_range ?? [0.08, 1],
        aspect: args.aspect_ratio_range ?? aspect,
      }),
    ),
  ),
  ...each(
    [...tv('RandomResizedCrop'), ...kornia('RandomResizedCrop')],
    makes('crop', { size: inputSize, scale: range, ratio: range, p: fixed(1) }, (args) => ({
      area: args.scale ?? [0.08, 1],
      aspect: args.ratio ?? aspect,
    })),
  ),
  ...each(otx('RandomFlip'), {
    role: 'transform',
    args: { ...common, probability, direction: choice(['horizontal', 'vertical']) },
    apply(args, draft, path) {
      const name = args.direction === 'vertical' ? 'verticalFlip' : 'flip'
      flips(name).apply!({ p: args.probability ?? 0 }, draft, path)
    },
  }),
  ...each([...tv('RandomHorizontalFlip'), ...kornia('RandomHorizontalFlip')], flips('flip')),
  ...each([...tv('RandomVerticalFlip'), ...kornia('RandomVerticalFlip')], flips('verticalFlip')),
  ...each(
    tv('RandomPhotometricDistort'),
    makes(
      'photometric',
      { brightness: range, contrast: range, saturation: range, hue: range, p: probability },
      (args) => ({
        brightness: args.brightness ?? [0.875, 1.125],
        contrast: args.contrast ?? [0.5, 1.5],
        saturation: args.saturation ?? [0.5, 1.5],
        hue: args.hue ?? [-0.05, 0.05],
        p: args.p ?? 0.5,
      }),
    ),
  ),
  ...each(kornia('ColorJiggle'), makes('colorJiggle', { ...colours, p: probability }, ofColours)),
  ...each(
    [...tv('ColorJitter'), ...kornia('ColorJitter')],
    makes('colorJitter', { ...colours, p: probability }, ofColours),
  ),
  ...each(
    otx('RandomAffine'),
    makes(
      'affine',
      {
        max_rotate_degree: degrees,
        max_translate_ratio: probability,
        scaling_ratio_range: range,
        max_shear_degree: degrees,
        ...idle(
          'border',
          'border_val',
          'bbox_clip_border',
          'transform_mask',
          'transform_polygon',
          'recompute_bbox',
          'mask_fill_value',
        ),
      },
      ({
        max_rotate_degree = 10,
        max_translate_ratio = 0.1,
        scaling_ratio_range = [0.5, 1.5],
        max_shear_degree = 2,
      }) => ({
        degrees: max_rotate_degree,
        translate: max_translate_ratio,
        scale: scaling_ratio_range,
        shear: max_shear_degree,
        p: 1,
      }),
    ),
  ),
  ...each(
    otx('RandomGaussianBlur'),
    blur({ probability }, ({ probability: p = 0.5 }) => p),
  ),
  ...each(
    tv('GaussianBlur'),
    blur({}, () => 1),
  ),
  ...each(
    kornia('RandomGaussianBlur'),
    blur({ p: probability, ...idle('border_type', 'separable') }, ({ p = 0.5 }) => p),
  ),
  ...each(
    otx('RandomGaussianNoise'),
    noise({ sigma: atLeast(0), probability, clip: 'idle' }, ({ sigma = 0.1, probability: p = 0.5 }) => ({ sigma, p })),
  ),
  ...each(
    tv('GaussianNoise'),
    noise({ sigma: atLeast(0), clip: 'idle' }, ({ sigma = 0.1 }) => ({ sigma, p: 1 })),
  ),
  ...each(
    kornia('RandomGaussianNoise'),
    noise({ std: atLeast(0), p: probability }, ({ std = 1, p = 0.5 }) => ({ sigma: std, p })),
  ),
  ...each(
    tv('RandAugment'),
    makes(
      'randAugment',
      { num_ops: whole(0), magnitude: whole(0), num_magnitude_bins: whole(2) },
      ({ num_ops = 2, magnitude = 9, num_magnitude_bins = 31 }) => ({
        ops: num_ops,
        magnitude,
        bins: num_magnitude_bins,
      }),
    ),
  ),
  ...each(
    [
      ...tv('ToDtype', 'ToImage', 'Normalize', 'Resize', 'CenterCrop'),
      ...kornia('Normalize', 'Resize'),
      ...otx('Resize'),
      'getitune.data.augmentation.transforms.Resize',
    ],
    none,
  ),
}

/** Where a subset lists its transforms. */
export const imageLists = ['transforms', 'augmentations_cpu', 'augmentations_gpu']

/** A list of transforms: what of them is at random; a list with none of these changes nothing. */
export const imagesOf: Reader = (value, path, draft) => {
  const { augment } = draft.settings
  // Both lists of getitune make one table; none is none.
  draft.settings.augment = typeof augment === 'object' ? augment : ({} as Augmentations)
  walkList(value, 'transform', path, draft)
}

/** What the file of data holds that each package's recipes name, as settings; test/otx-config.test.ts compares. */
export const bases: Readonly<Record<'otx' | 'getitune', Partial<TrainSettings>>> = {
  otx: { batchSize: 64, sampler: 'balanced', augment: { crop: { area: [0.08, 1], aspect: [0.75, 1.34] }, flip: 0.5 } },
  getitune: {
    batchSize: 64,
    sampler: 'balanced',
    augment: {
      crop: { area: [0.08, 1], aspect: [0.75, 1.34] },
      flip: 0.5,
      colorJiggle: { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.05, p: 0.5 },
    } as Augmentations,
  },
}
