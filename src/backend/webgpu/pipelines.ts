// Pipelines by kernel and variant, bind group layouts by access, bind groups by layout and buffers: each made once.
import { computeStage } from './device.ts'
import type { Pass } from './kernel.ts'
import type { Slot } from './pool.ts'
import { BLOCK } from './uniforms.ts'

interface Layout {
  readonly id: number
  readonly group: GPUBindGroupLayout
  readonly pipeline: GPUPipelineLayout
  /** The binding of the uniform block, or -1. */
  readonly uniform: number
}

export interface Pipeline {
  readonly pipeline: GPUComputePipeline
  readonly layout: Layout
}

export interface Pipelines {
  /** The pipeline of a kernel's pass. What does not compile is told to `failed`, later. */
  get(kernel: string, pass: Pass): Pipeline
  /** The group that binds these buffers, in the order of the pass. */
  bind(layout: Layout, slots: readonly Slot[]): GPUBindGroup
  /** A group that is not remembered, over a uniform buffer of the caller's. */
  group(layout: Layout, slots: readonly Slot[], uniforms: GPUBuffer): GPUBindGroup
  /** Forgets every group that binds the buffer. */
  forget(slot: Slot): void
  /** Resolves when every pipeline made so far is known to compile or not. */
  checked(): Promise<void>
}

export interface PipelineHooks {
  readonly madePipeline: () => void
  readonly madeGroup: () => void
  readonly failed: (error: Error) => void
}

const bindingTypes = { read: 'read-only-storage', read_write: 'storage', uniform: 'uniform' } as const

export function createPipelines(device: GPUDevice, uniforms: GPUBuffer, hooks: PipelineHooks): Pipelines {
  const layouts = new Map<string, Layout>()
  const pipelines = new Map<string, Pipeline>()
  const groups = new Map<string, GPUBindGroup>()
  const groupsOf = new Map<number, Set<string>>()
  const pending = new Set<Promise<void>>()

  /** From what the pass itself declares: a layout that says otherwise gives wrong data on some systems, with no error. */
  function layoutOf({ buffers, words }: Pass): Layout {
    const hasUniforms = words.length > 0
    const key = `${buffers.map(({ access }) => access).join()}${hasUniforms ? ',uniform' : ''}`
    const known = layouts.get(key)
    if (known) return known
    const entries: GPUBindGroupLayoutEntry[] = buffers.map(({ access }, binding) => ({
      binding,
      visibility: computeStage,
      buffer: { type: bindingTypes[access] },
    }))
    if (hasUniforms) {
      const buffer = { type: 'uniform', hasDynamicOffset: true } as const
      entries.push({ binding: buffers.length, visibility: computeStage, buffer })
    }
    const group = device.createBindGroupLayout({ entries })
    const layout: Layout = {
      id: layouts.size,
      group,
      pipeline: device.createPipelineLayout({ bindGroupLayouts: [group] }),
      uniform: hasUniforms ? buffers.length : -1,
    }
    layouts.set(key, layout)
    return layout
  }

  function makeGroup(layout: Layout, slots: readonly Slot[], block: GPUBuffer): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = slots.map(({ buffer }, binding) => ({ binding, resource: { buffer } }))
    if (layout.uniform >= 0) entries.push({ binding: layout.uniform, resource: { buffer: block, size: BLOCK } })
    hooks.madeGroup()
    return device.createBindGroup({ layout: layout.group, entries })
  }

  return {
    group: makeGroup,
    get(kernel, pass) {
      const key = `${kernel} ${pass.key}`
      const known = pipelines.get(key)
      if (known) return known
      const layout = layoutOf(pass)
      const code = pass.code()
      device.pushErrorScope('validation')
      const module = device.createShaderModule({ label: key, code })
      const made = device.createComputePipeline({
        label: key,
        layout: layout.pipeline,
        compute: { module, entryPoint: 'main' },
      })
      const check = explain(device.popErrorScope(), module, key, code).then((error) => {
        pending.delete(check)
        if (error) hooks.failed(error)
      })
      pending.add(check)
      const pipeline: Pipeline = { pipeline: made, layout }
      pipelines.set(key, pipeline)
      hooks.madePipeline()
      return pipeline
    },
    bind(layout, slots) {
      let key = `${layout.id}`
      for (const { id } of slots) key += ` ${id}`
      const known = groups.get(key)
      if (known) return known
      const group = makeGroup(layout, slots, uniforms)
      groups.set(key, group)
      for (const { id } of slots) {
        const keys = groupsOf.get(id)
        if (keys) keys.add(key)
        else groupsOf.set(id, new Set([key]))
      }
      return group
    },
    forget({ id }) {
      for (const key of groupsOf.get(id) ?? []) groups.delete(key)
      groupsOf.delete(id)
    },
    async checked() {
      await Promise.all(pending)
    },
  }
}

/** The error of a pipeline that was refused, with the lines of WGSL that the compiler names. */
async function explain(
  scope: Promise<GPUError | null>,
  module: GPUShaderModule,
  key: string,
  code: string,
): Promise<Error | undefined> {
  try {
    const error = await scope
    if (!error) return undefined
    const { messages } = await module.getCompilationInfo()
    const lines = code.split('\n')
    const said = messages
      .filter(({ type }) => type === 'error')
      .map(
        ({ lineNum, linePos, message }) =>
          `line ${lineNum}:${linePos}: ${message.split('\n')[0]}\n    ${lines[lineNum - 1] ?? ''}`,
      )
    return new Error(`webgpu: kernel ${key} must compile, got\n${said.length > 0 ? said.join('\n') : error.message}`)
  } catch {
    return undefined // the device is gone, which is told elsewhere
  }
}
