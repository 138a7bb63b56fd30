// A task on mixed samples: each has a partner in its batch, and a share of its own. The loss is share L(own) + (1 - share)
// L(partner), which for cross-entropy is the loss of the mixed target, and is meant so for all others. Where targets name no
// partner, as in validation, it is the task itself.
import { add, affine, mul } from '../ops/elementwise.ts'
import { slice } from '../ops/view.ts'
import type { HostInputs, HostValues } from '../tensor/host.ts'
import type { Task } from './task.ts'

const PARTNER = 'partner.'
const SHARE = 'mixed.share'

/** Values of samples, each those of the sample before it; the first has the last's. */
function rolled({ data, shape }: HostValues): HostValues {
  const each = data.length / Math.max(1, shape[0]!)
  const values = data.slice()
  values.copyWithin(each, 0, data.length - each)
  values.set(data.subarray(data.length - each), 0)
  return { data: values, shape }
}

/** Targets of a whole batch in which each sample has the one before it as its partner, and this share of its own. */
export function mixTargets(targets: HostInputs, share: number): HostInputs {
  const names = Object.entries(targets)
  const count = names[0]?.[1].shape[0] ?? 0
  return {
    ...targets,
    ...Object.fromEntries(names.map(([name, values]) => [PARTNER + name, rolled(values)])),
    // One a sample, so that parts of a batch have it too.
    [SHARE]: { data: new Float32Array(count).fill(share), shape: [count] },
  }
}

/** Those of the partners. */
const partnersOf = <T>(targets: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(
    Object.entries(targets).flatMap(([name, t]) => (name.startsWith(PARTNER) ? [[name.slice(PARTNER.length), t]] : [])),
  )

/**
 * The task on targets of `mixTargets`. Partners are the samples of the same batch, so over a whole batch they count as much as
 * those do. A decision is right by whichever has the larger share.
 */
export const mixedTask = (task: Task): Task => ({
  ...task,
  terms(logits, targets, training) {
    const own = task.terms(logits, targets, training)
    const all = targets[SHARE]
    if (!all) return own
    const share = slice(all, 0, 0, 1)
    return add(mul(own, share), mul(task.terms(logits, partnersOf(targets), training), affine(share, -1, 1)))
  },
  right: (logits, targets) => task.right(logits, (targets[SHARE]?.data[0] ?? 1) < 0.5 ? partnersOf(targets) : targets),
})
