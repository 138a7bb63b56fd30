// Gets a device, asks for the limits that kernels use, and remembers what went wrong with it.
import { platform } from '#platform'
import { DeviceLostError, lessMemory, OutOfMemoryError } from '../../platform/errors.ts'
import type { GpuLimits } from './kernel.ts'

/**
 * Variants that can be switched off by name. `direct`: kernels for adapters in software; a GPU never takes them. `dot`: WGSL's
 * products of four bytes (`packed_4x8_integer_dot_product`).
 */
export type GpuFeature = 'subgroups' | 'shader-f16' | 'direct' | 'dot'

/** Numbers of the WebGPU specification: the globals that name them are missing in Node. */
export const usage = { mapRead: 0x1, copySrc: 0x4, copyDst: 0x8, uniform: 0x40, storage: 0x80 } as const
export const computeStage = 0x4
export const mapRead = 0x1

/** Milliseconds to wait for an adapter or a device where none are given: a wedged GPU process never answers. */
const PATIENCE = 15_000

/** A browser whose GPU process has just ended has no adapter for a moment: milliseconds after which it is asked once more. */
const AGAIN = 1000

/** What is wrong with an adapter that is no GPU. */
export const SOFTWARE = 'its adapter computes in software, which is slower than wasm'

// Whatever a kernel or a buffer may need, as much of it as the adapter has.
const wanted = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupsPerDimension',
] as const

/** The least subgroup of the specification. */
const LEAST_SUBGROUP = 4

/** The most that a kernel binds, which is what every device of the specification offers. */
const STORAGE_BUFFERS = 8

export interface OpenDevice {
  readonly device: GPUDevice
  readonly limits: GpuLimits
  /** Most bytes of one buffer. */
  readonly maxBytes: number
  /** Vendor, architecture and description, as far as the platform tells. */
  readonly adapter: string
  /** Whether the adapter is a program instead of a GPU. */
  readonly software: boolean
  /** One sentence for each variant that is not in use. */
  readonly notes: readonly string[]
  /** Calls once when the device is lost, or when it reports an error that no one has caught. */
  onFailure(listener: (error: Error) => void): void
}

export interface OpenDeviceOptions {
  readonly disable?: readonly GpuFeature[] | undefined
  /**
   * True rounds the operands of products A B^T, those of a Linear's forward pass, to f16 where the adapter has `shader-f16`:
   * twice as much of k between two barriers. Sums stay f32. A relative error of 2^-11 (5e-4) for each operand; values above
   * 65504 overflow, and below 6e-5 lose digits. Gradients, which may be that small, stay f32. Default false.
   */
  readonly f16?: boolean | undefined
  /** False refuses an adapter that computes in software. */
  readonly software?: boolean | undefined
  /** Milliseconds to wait for the adapter, and again for the device. */
  readonly patience?: number | undefined
}

/** SwiftShader, Mesa's llvmpipe and lavapipe, Windows' WARP. */
const SOFTWARE_NAMES = /swiftshader|llvmpipe|lavapipe|software|basic render|\bwarp\b/i

type AdapterInfo = Partial<Pick<GPUAdapterInfo, 'vendor' | 'architecture' | 'description' | 'isFallbackAdapter'>>

const noAdapter = 'an adapter must be there, got none: install a GPU driver (Vulkan, Metal or D3D12)'

/** What an adapter is called, and whether it is a program instead of a GPU. */
function described(info: AdapterInfo): { name: string; software: boolean } {
  const name = [info.vendor, info.architecture, info.description].filter(Boolean).join(' ')
  return { name, software: info.isFallbackAdapter === true || SOFTWARE_NAMES.test(name) }
}

/** Looks for an adapter where drivers cannot write to the terminal; throws where `openDevice` would for what is there. */
export async function lookForDevice(
  options: Pick<OpenDeviceOptions, 'software'> = {},
): Promise<{ name: string; software: boolean; words: readonly string[] } | undefined> {
  const look = await platform.lookForGpu()
  if (!look) return undefined
  if (look.reason !== undefined) throw new Error(`webgpu: ${look.reason}`)
  if (!look.adapter) throw new Error(`webgpu: ${noAdapter}`)
  const { name, software } = described(look.adapter)
  const { words } = look
  if (software && options.software === false) throw new Error(`webgpu: ${SOFTWARE} (${name || 'no name given'})`)
  return { name, software, words }
}

/**
 * A device of `gpu`. Throws where there is no adapter, where none answers in time, and where it lacks what kernels need.
 */
export async function openDevice(gpu: GPU, options: OpenDeviceOptions = {}): Promise<OpenDevice> {
  const { disable = [], f16 = false, patience = PATIENCE } = options
  const ask = () => inTime('requestAdapter', gpu.requestAdapter({ powerPreference: 'high-performance' }), patience)
  let adapter = await ask()
  // Not where wasm takes its place: a page need not wait for it.
  if (!adapter && options.software !== false) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN))
    adapter = await ask()
  }
  if (!adapter) {
    throw new Error(`webgpu: ${noAdapter}`)
  }
  // Browsers have moved the flag from the adapter to its info.
  const { isFallbackAdapter } = adapter as { isFallbackAdapter?: boolean }
  const { name, software: known } = described(adapter.info ?? {})
  const software = known || isFallbackAdapter === true
  if (software && options.software === false) throw new Error(`webgpu: ${SOFTWARE} (${name || 'no name given'})`)
  if (adapter.limits.maxStorageBuffersPerShaderStage < STORAGE_BUFFERS) {
    const has = adapter.limits.maxStorageBuffersPerShaderStage
    throw new Error(`webgpu: the adapter must bind ${STORAGE_BUFFERS} storage buffers in a kernel, got ${has}`)
  }
  const features: ('subgroups' | 'shader-f16')[] = []
  const notes: string[] = []
  for (const feature of ['subgroups', 'shader-f16'] as const) {
    if (disable.includes(feature)) notes.push(`${feature} was switched off`)
    else if (!adapter.features.has(feature)) notes.push(`the adapter has no ${feature}`)
    else if (feature === 'shader-f16' && !f16) notes.push('shader-f16 was not asked for (option f16)')
    else features.push(feature)
  }
  const dot = !disable.includes('dot') && gpu.wgslLanguageFeatures?.has('packed_4x8_integer_dot_product') === true
  if (!dot) notes.push(disable.includes('dot') ? 'dot was switched off' : 'the adapter has no products of four bytes')
  if (software && disable.includes('direct')) notes.push('direct was switched off')
  const requiredLimits = Object.fromEntries(wanted.map((name) => [name, adapter.limits[name]]))
  const starting = adapter.requestDevice({ requiredFeatures: features, requiredLimits })
  const device = await inTime('requestDevice', starting, patience)
  const { limits } = device

  let listener: ((error: Error) => void) | undefined
  let failure: Error | undefined
  const fail = (error: Error) => {
    if (failure) return
    failure = error
    listener?.(error)
  }
  device.lost.then(({ reason, message }) =>
    fail(
      new DeviceLostError(
        `webgpu: the device was lost (${reason}), ${message || 'no reason given'}; start a new backend`,
      ),
    ),
  )
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault()
    const { error } = event
    if (error.constructor.name !== 'GPUOutOfMemoryError') {
      return fail(new Error(`webgpu: refused by the device, ${error.message}`))
    }
    fail(new OutOfMemoryError(`webgpu: out of memory, ${error.message}; ${lessMemory}, on a new backend`))
  })

  return {
    device,
    limits: {
      maxWorkgroups: limits.maxComputeWorkgroupsPerDimension,
      maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
      workgroupStorage: limits.maxComputeWorkgroupStorageSize,
      storageBuffers: limits.maxStorageBuffersPerShaderStage,
      direct: software && !disable.includes('direct'),
      subgroups: features.includes('subgroups') ? (adapter.info?.subgroupMinSize ?? LEAST_SUBGROUP) : 0,
      f16: features.includes('shader-f16'),
      dot,
    },
    maxBytes: Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize),
    adapter: name,
    software,
    notes,
    onFailure(heard) {
      listener = heard
      if (failure) heard(failure)
    },
  }
}

async function inTime<T>(what: string, answer: Promise<T>, patience: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`webgpu: ${what} must answer within ${patience / 1000} s, got nothing`)
    timer = setTimeout(() => reject(error), patience)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
