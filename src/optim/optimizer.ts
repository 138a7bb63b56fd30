// What the trainer asks of an optimizer; adamw.ts and sgd.ts are the two. Their arithmetic is PyTorch's.
import { type Parameter, type Tensor, tensor } from '../tensor/tensor.ts'

export interface ParameterGroup {
  params: readonly [string, Parameter][]
  weightDecay: number
  /** What the learning rate is multiplied by; default 1. */
  rateScale?: number
}

export interface Optimizer {
  /** One update: `grads` by parameter name, each multiplied by `gradScale` (1) when given. */
  step(grads: ReadonlyMap<string, Tensor>, lr: number, gradScale?: Tensor): void
  /**
   * `step` in two parts, for an update that is recorded and replayed: `prepare` counts a step and writes its numbers to
   * the device, `update` only dispatches. An optimizer without them is not recorded.
   */
  prepare?(lr: number): void
  update?(grads: ReadonlyMap<string, Tensor>, gradScale?: Tensor): void
  /** Moments by name, and how many steps were taken: what a resume needs. */
  state(): { steps: number; tensors: [string, Tensor][] }
  /** Counts on from a saved state; the tensors of `state` are filled by the caller. */
  setSteps(steps: number): void
  dispose(): void
}

/** A zero tensor shaped like a parameter, outside every scope. */
export function zerosLike(p: Parameter): Tensor {
  const t = tensor(p.backend, new Float32Array(p.size), p.shape)
  const kept = t.alias()
  t.dispose()
  return kept
}

/** One of something for each rate scale that the groups have: their learning rates on the device. */
export const byScale = <T>(groups: readonly ParameterGroup[], make: () => T): ReadonlyMap<number, T> =>
  new Map([...new Set(groups.map(({ rateScale = 1 }) => rateScale))].map((scale) => [scale, make()]))

/** Two groups, the second without decay: names matched by `exempt` (say, biases and norms) are not decayed. */
export function decayGroups(
  params: readonly [string, Parameter][],
  weightDecay: number,
  exempt: (name: string, p: Parameter) => boolean = () => false,
): ParameterGroup[] {
  return [
    { params: params.filter(([name, p]) => !exempt(name, p)), weightDecay },
    { params: params.filter(([name, p]) => exempt(name, p)), weightDecay: 0 },
  ].filter((group) => group.params.length > 0)
}

/** The groups cut by what the learning rate of each parameter is multiplied by. */
export const scaledGroups = (groups: readonly ParameterGroup[], scaleOf: (name: string) => number): ParameterGroup[] =>
  groups.flatMap(({ params, weightDecay }) => {
    const scales = [...new Set(params.map(([name]) => scaleOf(name)))]
    return scales.map((rateScale) => ({
      params: params.filter(([name]) => scaleOf(name) === rateScale),
      weightDecay,
      rateScale,
    }))
  })

/** Vectors: biases, norms, scales, DoRA magnitudes. The usual choice of what is not decayed. */
export const isVector = (_name: string, p: Parameter): boolean => p.shape.length === 1
