// adamw and sgd, in place.
import type { Kernel } from './kernel.ts'

export const adamw: Kernel<'adamw'> = ({ p, m, v, g, hyper, gradScale }, { n, decay }) => {
  const [lr, beta1, beta2, eps, c1, c2] = hyper as unknown as [number, number, number, number, number, number]
  const scale = gradScale ? gradScale[0]! : 1
  for (let j = 0; j < n; j++) {
    const grad = g[j]! * scale
    const m1 = beta1 * m[j]! + (1 - beta1) * grad
    const v1 = beta2 * v[j]! + (1 - beta2) * grad * grad
    m[j] = m1
    v[j] = v1
    p[j] = p[j]! * (1 - lr * decay) - ((lr / c1) * m1) / (Math.sqrt(v1) / Math.sqrt(c2) + eps)
  }
}

export const sgd: Kernel<'sgd'> = ({ p, buf, g, hyper, gradScale }, { n, decay, nesterov }) => {
  const [lr, momentum] = hyper as unknown as [number, number]
  const scale = gradScale ? gradScale[0]! : 1
  for (let j = 0; j < n; j++) {
    const grad = g[j]! * scale + decay * p[j]!
    const b1 = momentum * buf[j]! + grad
    buf[j] = b1
    p[j]! -= lr * (nesterov === 1 ? grad + momentum * b1 : b1)
  }
}
