// Stored adapters with something changed: fields of their settings, tensors left out, renamed or of another shape.
import { cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openSafetensors, type TensorToWrite, writeSafetensors } from 'vitune/io'
import { fixtures } from './small-vit.ts'

export type Json = Record<string, unknown>
export const readJson = (path: string): Json => JSON.parse(readFileSync(path, 'utf8'))

export type Change = {
  config?: Json | string
  tensors?: (all: TensorToWrite[]) => TensorToWrite[]
  cut?: number
  drop?: string
}

/** Copies a stored adapter with changes. */
export async function rewrite(name: string, folder: string, { config, tensors, cut, drop }: Change): Promise<void> {
  cpSync(fixtures + name, folder, { recursive: true })
  const [settings, weights] = [join(folder, 'adapter_config.json'), join(folder, 'adapter_model.safetensors')]
  if (typeof config === 'string') writeFileSync(settings, config)
  else if (config) writeFileSync(settings, JSON.stringify({ ...readJson(settings), ...config }))
  if (tensors) {
    const file = await openSafetensors(weights)
    const all: TensorToWrite[] = []
    for (const key of file.names()) all.push({ name: key, shape: file.info(key).shape, data: await file.read(key) })
    await writeSafetensors(weights, tensors(all))
  }
  if (cut) truncateSync(weights, readFileSync(weights).length - cut)
  if (drop) rmSync(join(folder, drop))
}

export const without = (pattern: RegExp) => (all: TensorToWrite[]) => all.filter((t) => !pattern.test(t.name))
export const renamed = (from: string | RegExp, to: string) => (all: TensorToWrite[]) =>
  all.map((t) => ({ ...t, name: t.name.replace(from, to) }))
export const resized = (pattern: RegExp, shape: number[]) => (all: TensorToWrite[]) =>
  all.map((t) => {
    const size = shape.reduce((a, b) => a * b, 1)
    return pattern.test(t.name) ? { ...t, shape, data: new Float32Array(size) } : t
  })
