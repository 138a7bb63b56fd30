// How training images are changed at random, as plain data: a table of changes, each with its strength. What is not in it is
// not done. Pure.

/** Lowest and highest of a range. */
export type Range = readonly [number, number]

/** Changes of a training image, in the order in which they are made. */
export interface Augmentations {
  /** Random resized crop: part of the area that is kept (default 0.08 to 1), and width over height (0.75 to 1.34). */
  readonly crop?: { readonly area?: Range; readonly aspect?: Range }
  /** Probability of a mirror image. */
  readonly flip?: number
  /** Probability of an image upside down. */
  readonly verticalFlip?: number
}
