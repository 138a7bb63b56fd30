// adamw, sgd and clipNorm, over lists of tensors.
import type { Kernel } from './kernel.ts'

export const adamw: Kernel<'adamw'> = (bufs, { decay }) => {
  const { hyper, gradScale } = bufs
  const [lr, beta1, beta2, eps, c1, c2] = hyper as unknown as [number, number, number, number, number, number]
  const scale = gradScale ? gradScale[0]! : 1
  for (const [i, p] of bufs.p.entries()) {
    const [m, v, g] = [bufs.m[i]!, bufs.v[i]!, bufs.g[i]!]
    for (let j = 0; j < p.length; j++) {
      const grad = g[j]! * scale
      const m1 = beta1 * m[j]! + (1 - beta1) * grad
      const v1 = beta2 * v[j]! + (1 - beta2) * grad * grad
      m[j] = m1
      v[j] = v1
      p[j] = p[j]! * (1 - lr * decay) - ((lr / c1) * m1) / (Math.sqrt(v1) / Math.sqrt(c2) + eps)
    }
  }
}

export const sgd: Kernel<'sgd'> = (bufs, { decay, nesterov }) => {
  const { hyper, gradScale } = bufs
  const [lr, momentum] = hyper as unknown as [number, number]
  const scale = gradScale ? gradScale[0]! : 1
  for (const [i, p] of bufs.p.entries()) {
    const [buf, g] = [bufs.buf[i]!, bufs.g[i]!]
    for (let j = 0; j < p.length; j++) {
      const grad = g[j]! * scale + decay * p[j]!
      const b1 = momentum * buf[j]! + grad
      buf[j] = b1
      p[j]! -= lr * (nesterov === 1 ? grad + momentum * b1 : b1)
    }
  }
}

export const clipNorm: Kernel<'clipNorm'> = ({ norm, factor, g }, { maxNorm }) => {
  let squares = 0
  for (const one of g) for (const value of one) squares += value * value
  norm[0] = Math.sqrt(squares)
  factor[0] = Math.min(1, maxNorm / (Math.sqrt(squares) + 1e-6))
}
