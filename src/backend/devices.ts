// What may compute, by name; `auto` is the fastest of them that works here.
export const devices = ['auto', 'wasm', 'webgpu', 'reference'] as const
export type Device = (typeof devices)[number]
