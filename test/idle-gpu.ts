// A GPU that does nothing: every call of the WebGPU API that the backend makes, answered at once with empty objects. For
// counting what a step of real size asks of a GPU, in a moment and without its memory. Not here: whether any of it is right.

/** The limits that every device of the specification has. */
const limits = {
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupsPerDimension: 65535,
}

const nothing = () => {}
const object = () => ({})

/** What was asked of the device, by the name of the call. */
export type Asked = Record<'buffers' | 'bindGroups' | 'pipelines' | 'dispatches' | 'submits', number>

/** A GPU without extra features; `asked` counts, `fail` tells of an error that nobody caught. What is read from it is 0. */
export function idleGpu(): { gpu: GPU; asked: Asked; fail(error: GPUError): void } {
  const asked: Asked = { buffers: 0, bindGroups: 0, pipelines: 0, dispatches: 0, submits: 0 }
  const count = (name: keyof Asked) => () => {
    asked[name]++
    return {}
  }
  const createBuffer = ({ size }: GPUBufferDescriptor) => {
    asked.buffers++
    const mapped = { mapAsync: async () => {}, getMappedRange: (_: number, n: number) => new ArrayBuffer(n) }
    return { size, ...mapped, unmap: nothing, destroy: nothing }
  }
  const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: count('dispatches'), end: nothing }
  const encoder = { beginComputePass: () => pass, copyBufferToBuffer: nothing, finish: object }
  let lose: (info: object) => void = nothing
  const lost = new Promise<object>((resolve) => {
    lose = resolve
  })
  const listeners: ((event: { error: GPUError; preventDefault(): void }) => void)[] = []
  const fail = (error: GPUError) => {
    for (const listener of listeners) listener({ error, preventDefault: nothing })
  }
  const device = {
    limits,
    lost,
    queue: { submit: count('submits'), writeBuffer: nothing, onSubmittedWorkDone: async () => {} },
    addEventListener: (_: 'uncapturederror', listener: (typeof listeners)[number]) => void listeners.push(listener),
    destroy: () => lose({ reason: 'destroyed', message: '' }),
    createBuffer,
    createBindGroup: count('bindGroups'),
    createComputePipeline: count('pipelines'),
    createCommandEncoder: () => encoder,
    createBindGroupLayout: object,
    createPipelineLayout: object,
    createShaderModule: object,
    pushErrorScope: nothing,
    popErrorScope: async () => null,
  }
  const adapter = { info: { vendor: 'idle' }, features: new Set(), limits, requestDevice: async () => device }
  return { gpu: { requestAdapter: async () => adapter } as unknown as GPU, asked, fail }
}
