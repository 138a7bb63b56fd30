// Losses of labels that are there or not, each by itself: element by element, (B, K) from logits (B, K). Composed of
// operations that every backend has. Not here: cross-entropy (ops/loss.ts).
import { abs, add, affine, exp, log, mul, relu, sigmoid, square, sub } from '../ops/elementwise.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Loss of each label by itself. `present` has 1 where it is there, `weight` how much it counts: 0 where nobody knows. */
export type LabelLoss = (logits: Tensor, present: Tensor, weight: Tensor) => Tensor

const EPS = 1e-8
/** How much of the score of an absent label costs nothing. */
const CLIP = 0.05

/** The larger of x and `least`; no gradient below. */
const atLeast = (x: Tensor, least: number) => affine(relu(affine(x, 1, -least)), 1, least)

/** What of a score is above CLIP; one minus it is min(1 - p + CLIP, 1), with fewer digits lost. */
const shifted = (p: Tensor) => relu(affine(p, 1, -CLIP))

/** One loss where the label is there, the other where it is absent. */
function either(there: Tensor, absent: Tensor, present: Tensor, weight: Tensor): Tensor {
  const positive = mul(weight, present)
  return add(mul(there, positive), mul(absent, sub(weight, positive)))
}

/**
 * The asymmetric angular loss of OTX and getitune, with their constants (gamma_pos 0, gamma_neg 1, k 0.8):
 * -0.8 log(max(p, eps)) where a label is there, -0.2 p log(min(1 - p + 0.05, 1)) where it is absent.
 */
const aal: LabelLoss = (logits, present, weight) => {
  const p = sigmoid(logits)
  const there = affine(log(atLeast(p, EPS)), -0.8)
  const absent = affine(mul(p, log(affine(shifted(p), -1, 1))), -0.2)
  return either(there, absent, present, weight)
}

/**
 * Binary cross-entropy: log(1 + exp(-z)) where a label is there, log(1 + exp(z)) where it is absent. Each is
 * max(-z or z, 0) + log(1 + exp(-|z|)), and the maximum (|z| -+ z) / 2, whose slope at 0 is that of the loss: a half.
 */
const bce: LabelLoss = (logits, present, weight) => {
  const size = abs(logits)
  const rest = log(affine(exp(affine(size, -1)), 1, 1))
  const there = add(affine(sub(size, logits), 0.5), rest)
  const absent = add(affine(add(size, logits), 0.5), rest)
  return either(there, absent, present, weight)
}

/**
 * The asymmetric loss (ASL) of Ridnik and others, arXiv:2009.14119, with their defaults (gamma_pos 1, gamma_neg 4):
 * -(1 - p) log(max(p, eps)) where a label is there, -q^4 log(1 - q) with q = max(p - 0.05, 0) where it is absent. The
 * gradient goes through the powers too, as in the paper; the authors' code has a switch for that, which is off by default.
 */
const asl: LabelLoss = (logits, present, weight) => {
  const p = sigmoid(logits)
  const q = shifted(p)
  const there = affine(mul(sigmoid(affine(logits, -1)), log(atLeast(p, EPS))), -1)
  const absent = affine(mul(square(square(q)), log(affine(q, -1, 1))), -1)
  return either(there, absent, present, weight)
}

/** By name; the first is the default. `mean` says that it is averaged over the labels that are known, else it is summed. */
export const labelLosses: Readonly<Record<string, { readonly by: LabelLoss; readonly mean: boolean }>> = {
  aal: { by: aal, mean: false },
  bce: { by: bce, mean: true },
  asl: { by: asl, mean: false },
}
