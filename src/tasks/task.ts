// What is learnt stands behind one small interface: labels to targets, logits to loss, metrics and predictions.
import type { Backend } from '../backend/backend.ts'
import { crossEntropy } from '../ops/loss.ts'
import { meanAll } from '../ops/reduce.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'

/** One predicted image. Scores are by class, in the order of the logits. */
export interface Prediction {
  label: string
  score: number
  scores: number[]
  logits: number[]
}

/** Accumulates over batches; `result` holds at least `accuracy` in [0, 1]. */
export interface Metrics {
  add(logits: Float32Array, labels: Int32Array): void
  result(): { accuracy: number } & Record<string, number>
}

/** Everything the trainer must know about a kind of classification. */
export interface Task {
  readonly name: string
  readonly classes: readonly string[]
  /** Number of logits of an image. */
  readonly outputs: number
  /** Labels of a batch as the loss wants them. */
  targets(backend: Backend, labels: Int32Array): Tensor
  /** Mean loss, shape (), of logits (B, outputs). */
  loss(logits: Tensor, targets: Tensor, smoothing: number): Tensor
  metrics(): Metrics
  /** Reads one image's logits. */
  predict(logits: Float32Array): Prediction
}

function argmax(values: Float32Array): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}

/** One class an image: softmax, cross-entropy, top-1 accuracy. */
export function multiclass(classes: readonly string[]): Task {
  const k = classes.length
  return {
    name: 'multiclass',
    classes,
    outputs: k,
    targets: (backend, labels) => tensor(backend, labels, [labels.length]),
    loss: (logits, targets, smoothing) => meanAll(crossEntropy(logits, targets, smoothing)),
    metrics() {
      let right = 0
      let count = 0
      return {
        add(logits, labels) {
          for (let i = 0; i < labels.length; i++) {
            if (argmax(logits.subarray(i * k, (i + 1) * k)) === labels[i]) right++
          }
          count += labels.length
        },
        result: () => ({ accuracy: count > 0 ? right / count : 0 }),
      }
    },
    predict(logits) {
      const top = argmax(logits)
      const raised = Array.from(logits, (z) => Math.exp(z - logits[top]!))
      const total = raised.reduce((a, b) => a + b, 0)
      const scores = raised.map((e) => e / total)
      return { label: classes[top]!, score: scores[top]!, scores, logits: Array.from(logits) }
    },
  }
}
