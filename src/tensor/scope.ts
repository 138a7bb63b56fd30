// Scopes: what is made inside is freed at the end, except what the function returns or keeps. Synchronous only.
import type { Tensor } from './tensor.ts'

const stack: Set<Tensor>[] = []
const owner = new WeakMap<Tensor, Set<Tensor>>()

/** Called by every new tensor. */
export function adopt(t: Tensor): void {
  const top = stack[stack.length - 1]
  if (!top) return
  top.add(t)
  owner.set(t, top)
}

/** Takes a tensor out of its scope. */
export function disown(t: Tensor): void {
  owner.get(t)?.delete(t)
  owner.delete(t)
}

/** Moves a tensor out of every open scope: the caller disposes it. Returns it. */
export function keep<T extends Tensor>(t: T): T {
  disown(t)
  return t
}

function tensorsIn(value: unknown, found: Set<Tensor>): void {
  if (value === null || typeof value !== 'object') return
  if (owner.has(value as Tensor)) found.add(value as Tensor)
  else if (Array.isArray(value)) for (const v of value) tensorsIn(v, found)
  else if (Object.getPrototypeOf(value) === Object.prototype) for (const v of Object.values(value)) tensorsIn(v, found)
}

/** Runs `fn`, frees what was made inside, and tells which of it the result holds: that belongs to no scope then. */
export function detached<T>(fn: () => T): { value: T; tensors: Tensor[] } {
  const made = new Set<Tensor>()
  stack.push(made)
  let value: T
  try {
    value = fn()
    if (value instanceof Promise) throw new Error('scope: the function must not be async, got a Promise; await outside')
  } catch (error) {
    stack.pop()
    for (const t of [...made]) t.dispose()
    throw error
  }
  stack.pop()
  const returned = new Set<Tensor>()
  tensorsIn(value, returned)
  const tensors: Tensor[] = []
  for (const t of [...made]) {
    if (!returned.has(t)) t.dispose()
    else {
      disown(t)
      tensors.push(t)
    }
  }
  return { value, tensors }
}

/**
 * Runs `fn` and frees the tensors made inside, except those it returns (alone, in arrays or in plain objects),
 * which pass to the enclosing scope, and those it `keep`s. Throws on a Promise: a scope cannot span an await.
 */
export function scope<T>(fn: () => T): T {
  const { value, tensors } = detached(fn)
  for (const t of tensors) adopt(t)
  return value
}
