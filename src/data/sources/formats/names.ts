// The layouts of published data sets by name. How each is read is in registry.ts.
export const formatNames = [
  'fgvc-aircraft',
  'fgvc-aircraft-family',
  'fgvc-aircraft-manufacturer',
  'food-101',
  'stanford-cars',
  'cub-200',
  'ham10000',
  'resisc45',
  'kitti-distance',
] as const
/** A layout's name. */
export type FormatName = (typeof formatNames)[number]
