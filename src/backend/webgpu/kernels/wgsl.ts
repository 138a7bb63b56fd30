// The frame that kernels here share: bindings, uniform block, entry point, sums over a workgroup. Text only.
import type { Pass } from '../kernel.ts'

export interface BufferSpec {
  /** Name in the kernel table, `temp:NAME`, or NONE. */
  readonly name: string
  readonly access: 'read' | 'read_write'
  /** Its name in WGSL; default `name`. */
  readonly as?: string
  /** Element type; default f32. */
  readonly type?: 'f32' | 'i32' | 'u32'
}

/** A field of the uniform block `u`: its WGSL type and value. */
export type Field = readonly [name: string, type: 'u32' | 'i32' | 'f32', value: number]

export interface PassSpec {
  readonly key: string
  readonly buffers: readonly BufferSpec[]
  readonly fields: readonly Field[]
  /** Workgroups to run, in a line; folded over two dimensions where there are too many for one. */
  readonly groups: number
  /** Threads of a workgroup. */
  readonly width: number
  /** Functions and workgroup variables. */
  readonly helpers?: () => string
  /** Statements of `main`. In scope: `group` (index of the workgroup), `lane` (thread in it), `i` = group * width + lane. */
  readonly body: () => string
}

/** Threads of a workgroup where nothing is shared among them: every device allows 256. */
export const WIDTH = 256

/** The buffer bound `read_write` where an output is not wanted: a few bytes that nothing reads, one for the backend. */
export const NONE = 'none'

/** `count` workgroups as two dimensions of at most `most`; the last row may hold workgroups past the end. */
export function fold(count: number, most: number): [number, number, number] {
  if (count <= most) return [count, 1, 1]
  const y = Math.ceil(count / most)
  return [Math.ceil(count / y), y, 1]
}

/** A pass from its parts. `maxWorkgroups` is the device's limit in one dimension. */
export function pass(spec: PassSpec, maxWorkgroups: number): Pass {
  const { key, buffers, fields, groups, width } = spec
  return {
    key,
    buffers: buffers.map(({ name, access }) => ({ name, access })),
    words: fields.map(([, , value]) => value),
    floats: fields.map(([, type]) => type === 'f32'),
    workgroups: fold(groups, maxWorkgroups),
    code: () => `${buffers.map(bindingText).join('\n')}
${fields.length > 0 ? uniformText(buffers.length, fields) : ''}
${spec.helpers?.() ?? ''}
@compute @workgroup_size(${width})
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = id.x + id.y * count.x;
  let i = group * ${width}u + lane;
${spec.body()}
}
`,
  }
}

function bindingText({ name, access, as = name, type = 'f32' }: BufferSpec, at: number): string {
  return `@group(0) @binding(${at}) var<storage, ${access}> ${as}: array<${type}>;`
}

function uniformText(at: number, fields: readonly Field[]): string {
  const lines = fields.map(([name, type]) => `  ${name}: ${type},`)
  return `struct Uniforms {\n${lines.join('\n')}\n}\n@group(0) @binding(${at}) var<uniform> u: Uniforms;`
}

/** Threads for a kernel that gives a workgroup to each row of `n`. */
export const rowWidth = (n: number): number => (n <= 64 ? 32 : n <= 512 ? 64 : 256)

/**
 * `fn NAME(v: f32, lane: u32) -> f32`, the same result in every thread of the workgroup, added up in a fixed order: some
 * threads join a column of cells each, then every thread joins those. Two barriers, where a tree takes one a doubling.
 * To be called by all threads; `combine` joins a and b.
 */
export function workgroupReduce(name: string, width: number, combine: string): string {
  const columns = width >= 256 ? 16 : 8
  return `var<workgroup> ${name}_cells: array<f32, ${width}>;
var<workgroup> ${name}_columns: array<f32, ${columns}>;
fn ${name}_join(a: f32, b: f32) -> f32 { return ${combine}; }
fn ${name}(v: f32, lane: u32) -> f32 {
  ${name}_cells[lane] = v;
  workgroupBarrier();
  if (lane < ${columns}u) {
    var column = ${name}_cells[lane];
    for (var at = lane + ${columns}u; at < ${width}u; at += ${columns}u) {
      column = ${name}_join(column, ${name}_cells[at]);
    }
    ${name}_columns[lane] = column;
  }
  workgroupBarrier();
  // No barrier behind this: the next call writes the columns only behind its first one.
  var all = ${name}_columns[0];
  for (var at = 1u; at < ${columns}u; at++) { all = ${name}_join(all, ${name}_columns[at]); }
  return all;
}`
}
