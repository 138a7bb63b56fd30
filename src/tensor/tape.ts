// Reverse-mode autograd, first order: a list of op records, unwound in reverse. Gradients are returned, never stored on tensors.
import { type BinaryOp, binaryOps } from '../backend/kernels.ts'
import { scope } from './scope.ts'
import { showShape } from './shape.ts'
import { empty, Tensor } from './tensor.ts'

type Grad = Tensor | undefined
export interface Rule {
  /** What backward reads; kept alive until the tape has passed. Leave out what no needed gradient reads. */
  saved: readonly (Tensor | undefined)[]
  /**
   * The place among `saved` of a slope, of the result's shape, by which `backward` wants dy multiplied. Whoever makes the
   * result's gradient does that: a product in its epilogue.
   */
  gate?: number
  /**
   * Gradients of the inputs, in order; undefined where not needed or zero. May return `dy` itself. `sums` has the
   * gradient collected so far for an input where it may be overwritten: a rule may add to it and return it. A rule
   * that calls `gate` of an input multiplies that input's gradient by what it gets, if it gets one.
   */
  backward(
    dy: Tensor,
    saved: readonly Tensor[],
    sums: readonly Grad[],
    gate: (input: number) => Tensor | undefined,
  ): readonly Grad[]
}
interface Node {
  out: number
  inputs: readonly (number | undefined)[]
  saved: (Tensor | undefined)[]
  gate: number | undefined
  backward: Rule['backward']
}

class Tape {
  readonly nodes: Node[] = []
  readonly tracked = new Set<number>()
  /** The nodes that saved a slope for their result's gradient, by the result. */
  readonly gated = new Map<number, Node>()
  /** `parent`: the tape that waits while this one recomputes for it. */
  constructor(
    readonly roots: readonly Tensor[],
    private readonly parent?: Tape,
  ) {
    for (const p of roots) this.tracked.add(p.id)
  }
  /** Whether only a waiting tape knows this tensor, so that its gradient would be lost here. */
  loses(t: Tensor): boolean {
    if (this.tracked.has(t.id) || !this.parent) return false
    return this.parent.tracked.has(t.id) || this.parent.loses(t)
  }
  /** Frees what is still saved. */
  clear(): void {
    for (const node of this.nodes) for (const t of node.saved) t?.dispose()
    this.nodes.length = 0
  }
}

let current: Tape | undefined

/**
 * While only the rules of a function are wanted: the first tensor id of what it makes, what of that has its values all the
 * same, and whether a rule saved something without.
 */
let unread: { readonly first: number; readonly known: Set<number>; saved: boolean } | undefined

/** Whether nobody reads the values made now, unless a rule asks for them: a product need not be computed. */
export function valuesUnread(): boolean {
  return unread !== undefined
}

/** Whether this tensor has its values although others made now have none. */
export function isKnown(t: Tensor): boolean {
  return !unread || t.id < unread.first || unread.known.has(t.id)
}

/** Says that this tensor was computed although its values are unread but for a rule. */
export function markKnown(t: Tensor): void {
  unread?.known.add(t.id)
}

/** Whether the gradient of this tensor is wanted by the tape now recording. */
export function isTracked(t: Tensor | undefined): boolean {
  return t !== undefined && current?.tracked.has(t.id) === true
}

/** Runs `fn` without recording. */
export function untracked<T>(fn: () => T): T {
  const [tape, rules] = [current, unread]
  current = undefined
  unread = undefined // its values may be kept for later
  try {
    return fn()
  } finally {
    current = tape
    unread = rules
  }
}

/**
 * Records how `out` came from `inputs`. `rule` is asked only when some input is tracked, and is told which (`needs`),
 * so that it saves and computes nothing for frozen inputs. Returns `out`.
 */
export function record(
  out: Tensor,
  inputs: readonly (Tensor | undefined)[],
  rule: (needs: readonly boolean[]) => Rule,
): Tensor {
  const tape = current
  if (!tape) return out
  if (inputs.some((t) => t && tape.loses(t))) {
    throw new Error('checkpoint: the function may use its argument and what trains, got a tensor made before it')
  }
  const needs = inputs.map((t) => t !== undefined && tape.tracked.has(t.id))
  if (!needs.includes(true)) return out
  const { saved, gate, backward } = rule(needs)
  if (unread && saved.some((t) => t && !isKnown(t))) unread.saved = true
  tape.nodes.push({
    out: out.id,
    inputs: inputs.map((t, i) => (needs[i] ? t!.id : undefined)),
    saved: saved.map((t) => t?.alias()),
    gate,
    backward,
  })
  if (gate !== undefined) tape.gated.set(out.id, tape.nodes.at(-1)!)
  tape.tracked.add(out.id)
  return out
}

/** a op b, in place where nothing shares the memory of a; the handle a is given up for the result. */
function inPlace(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
  const y = a.unshared ? a : empty(a.backend, a.shape)
  const params = { op: binaryOps.indexOf(op), n: a.size, inner: 1, count: a.size }
  a.backend.dispatch('binary', { y: y.buf, a: a.buf, b: b.buf }, params)
  if (y !== a) a.dispose()
  return y
}

/** sum + t, in place where nothing shares the memory of `sum`; both handles are given up for the result. */
export function addInto(sum: Tensor, t: Tensor): Tensor {
  const y = inPlace('add', sum, t)
  t.dispose()
  return y
}

function view(t: Tensor): Tensor {
  return new Tensor(t, t.shape)
}

/** Unwinds the tape from d out = dy; the gradients by tensor id. Takes ownership of dy. Runs inside the caller's scope. */
function unwind(tape: Tape, out: Tensor, dy: Tensor): Map<number, Tensor> {
  const gateOf = (id: number | undefined) => {
    const node = id === undefined ? undefined : tape.gated.get(id)
    return node?.saved[node.gate!]
  }
  const first = gateOf(out.id)
  const grads = new Map<number, Tensor>([[out.id, first ? inPlace('mul', dy, first) : dy]])
  for (let i = tape.nodes.length - 1; i >= 0; i--) {
    const node = tape.nodes[i]!
    const g = grads.get(node.out)
    if (g) {
      grads.delete(node.out)
      const sums = node.inputs.map((id) => {
        const sum = id === undefined ? undefined : grads.get(id)
        // What is added to a gated sum must have passed its gate.
        return sum?.unshared && !gateOf(id) ? sum : undefined
      })
      const taken = new Set<number>()
      const take = (input: number) => {
        taken.add(input)
        return gateOf(node.inputs[input])
      }
      const results = scope(() => node.backward(g, node.saved as Tensor[], sums, take))
      node.inputs.forEach((id, at) => {
        const found = results[at]
        if (id === undefined || !found || found === sums[at]) return
        // The same tensor given twice, or passed through, becomes a handle of its own.
        const own = found === g || results.indexOf(found) !== at ? view(found) : found
        const gate = taken.has(at) ? undefined : gateOf(id)
        const result = gate ? inPlace('mul', own, gate) : own
        const sum = grads.get(id)
        grads.set(id, sum ? addInto(sum, result) : result)
      })
      g.dispose()
    }
    for (const t of node.saved) t?.dispose()
    tape.nodes.pop()
  }
  return grads
}

export interface ValueAndGrad<A> {
  /** The scalar loss. */
  value: Tensor
  /** What `fn` returned beside the loss. */
  aux: A
  /** One gradient for each parameter, same shape; zeros where the loss does not depend on it. */
  grads: Tensor[]
}

/**
 * The value of a scalar function and its gradients for `params`. `fn` returns the loss, or [loss, aux] where tensors
 * in aux (arrays, plain objects) are kept for the caller. Throws on a loss that is not one element.
 */
export function valueAndGrad<A = undefined>(
  fn: () => Tensor | [Tensor, A],
  params: readonly Tensor[],
): ValueAndGrad<A> {
  if (current) throw new Error('valueAndGrad: cannot be nested, only first-order gradients are supported')
  const tape = new Tape(params)
  return scope(() => {
    try {
      current = tape
      let result: Tensor | [Tensor, A]
      try {
        result = scope(fn)
      } finally {
        current = undefined
      }
      const [value, aux] = Array.isArray(result) ? result : [result, undefined as A]
      if (value.size !== 1) throw new Error(`valueAndGrad: the loss must be one element, got ${showShape(value.shape)}`)
      const one = filled(value, 1)
      const found = unwind(tape, value, one)
      const grads = params.map((p) => found.get(p.id) ?? filled(p, 0))
      return { value, aux, grads }
    } finally {
      tape.clear()
    }
  })
}

function filled(like: Tensor, value: number): Tensor {
  const t = empty(like.backend, like.shape)
  t.backend.dispatch('fill', { y: t.buf }, { n: t.size, value })
  return t
}

/** Records how `fn` goes back. Its products are computed only where a rule saves what is made of them. */
function recordOnly(tape: Tape, like: Tensor, fn: () => Tensor): Tensor {
  const before = tape.nodes.length
  const mine = { first: new Tensor(like, like.shape).id, known: new Set<number>(), saved: false }
  unread = mine
  let out: Tensor
  try {
    out = scope(fn)
  } finally {
    unread = undefined
  }
  if (!mine.saved) return out
  for (const node of tape.nodes.splice(before)) for (const t of node.saved) t?.dispose()
  return scope(fn)
}

/** What `checkpoint` leaves out of the recomputation where it can: the last steps, from what `fn` gives to the result. */
export type Last<T> = (made: T) => Tensor

/**
 * last(fn(x)), recomputed in the backward pass instead of saved: less memory for about one more forward. Products in
 * `last` are not computed again where the way back does not read them.
 * Both must give the same values when they run again (dropout: start from the same `Context.stream`). Of what has a
 * gradient they may use `x` and the parameters only; anything else made before throws in the backward pass.
 */
export function checkpoint(fn: (x: Tensor) => Tensor, x: Tensor): Tensor
export function checkpoint<T>(fn: (x: Tensor) => T, x: Tensor, last: Last<T>): Tensor
export function checkpoint<T>(
  fn: (x: Tensor) => T,
  x: Tensor,
  last: Last<T> = (made) => made as unknown as Tensor,
): Tensor {
  const tape = current
  if (!tape) return scope(() => last(fn(x)))
  const made = untracked(() => scope(() => last(fn(x))))
  const y = made === x ? view(x) : made
  const inputs = [x, ...tape.roots]
  return record(y, inputs, (needs) => ({
    saved: [x],
    backward(dy, [again]) {
      const roots = inputs.map((t, i) => (i === 0 ? again! : t)).filter((_, i) => needs[i])
      const inner = new Tape(roots, tape)
      try {
        current = inner
        let out: Tensor
        try {
          out = scope(() => {
            const made = fn(again!)
            return recordOnly(inner, again!, () => last(made))
          })
        } finally {
          current = undefined
        }
        const found = unwind(inner, out, view(dy))
        return inputs.map((t, i) => {
          return needs[i] ? found.get((i === 0 ? again! : t).id) : undefined
        })
      } finally {
        inner.clear()
      }
    },
  }))
}
