// Averages of the weights over the steps of training, which generalise better than the last weights (Polyak and Juditsky, 1992).
// They are torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(decay): the first update copies the weights, each
// later one makes them decay * average + (1 - decay) * weight. So they lean on no weights from before training.
import { blendInto } from '../ops/elementwise.ts'
import { overwrite } from '../ops/view.ts'
import { detached, scope } from '../tensor/scope.ts'
import { empty, type Parameter, type Tensor } from '../tensor/tensor.ts'
import { Replay, type ReplayOptions } from './replay.ts'

export interface Ema {
  /** Takes the weights of one more step in. */
  update(): void
  /**
   * Runs `fn` with the averages in the place of the weights, and puts the weights back, also where it rejects. What `tensors`
   * and `weights` give stays true meanwhile. Throws where it runs already.
   */
  swapped<T>(fn: () => Promise<T>): Promise<T>
  /** The averages by the names of their parameters, wherever they lie now. */
  tensors(): [string, Tensor][]
  /** The weights by name, wherever they lie now. */
  weights(): [string, Tensor][]
  /** Says whether an update was taken in before, where `tensors` were filled from a saved state. */
  setBegun(begun: boolean): void
  dispose(): void
}

/** Averages of these parameters on their device; before the first update they are the weights. Whoever made it disposes it. */
export function createEma(params: readonly [string, Parameter][], decay: number, options: ReplayOptions = {}): Ema {
  const first = params[0]?.[1]
  if (!first) throw new Error('ema: needs at least one parameter, got none')
  const pairs = params.map(([name, p]) => ({ name, p, average: detached(() => copyOf(p)).value }))
  const updates = new Replay(first.backend, options)
  const swaps = new Replay(first.backend, options)
  let begun = false
  let away = false
  const swap = () =>
    swaps.run('', {}, () => {
      for (const { p, average } of pairs) {
        scope(() => {
          const kept = copyOf(p)
          overwrite(p, average)
          overwrite(average, kept)
        })
      }
    })
  const list = (which: boolean) => pairs.map(({ name, p, average }): [string, Tensor] => [name, which ? p : average])
  return {
    update() {
      updates.run(begun ? 'later' : 'first', {}, () => {
        for (const { p, average } of pairs) {
          if (begun) blendInto(average, p, decay)
          else overwrite(average, p)
        }
      })
      begun = true
    },
    async swapped(fn) {
      if (away) throw new Error('ema: the averages are in the place of the weights already')
      swap()
      away = true
      try {
        return await fn()
      } finally {
        swap()
        away = false
      }
    },
    tensors: () => list(away),
    weights: () => list(!away),
    setBegun(was) {
      begun = was
    },
    dispose() {
      updates.dispose()
      swaps.dispose()
      for (const { average } of pairs) average.dispose()
    },
  }
}

function copyOf(t: Tensor): Tensor {
  const copy = empty(t.backend, t.shape)
  overwrite(copy, t)
  return copy
}
