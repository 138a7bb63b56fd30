// The frame that kernels here share: bindings, uniform block, entry point, sums over a workgroup. Text only.
import type { Access, Pass } from '../kernel.ts'

export interface BufferSpec {
  /** Name in the kernel table, `temp:NAME`, or NONE. */
  readonly name: string
  readonly access: Access
  /** Its name in WGSL; default `name`. */
  readonly as?: string
  /** Element type; default f32. A uniform one is given whole: `array<vec4f, 2>`. */
  readonly type?: 'f32' | 'i32' | 'u32' | `array<vec4f, ${number}>`
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
  /** The device's subgroups, where the text uses them: `invocation` is then the thread's place in its subgroup. */
  readonly subgroups?: number
  /** Whether the text uses half precision. */
  readonly f16?: boolean
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
  const { key, buffers, fields, groups, width, subgroups = 0, f16 = false } = spec
  return {
    key,
    buffers: buffers.map(({ name, access }) => ({ name, access })),
    words: fields.map(([, , value]) => value),
    floats: fields.map(([, type]) => type === 'f32'),
    workgroups: fold(groups, maxWorkgroups),
    code: () => `${f16 ? 'enable f16;\n' : ''}${subgroups > 0 ? 'enable subgroups;\n' : ''}${buffers.map(bindingText).join('\n')}
${fields.length > 0 ? uniformText(buffers.length, fields) : ''}
${spec.helpers?.() ?? ''}
@compute @workgroup_size(${width})
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) lane: u32,${subgroups > 0 ? '\n  @builtin(subgroup_invocation_id) invocation: u32,' : ''}
) {
  let group = id.x + id.y * count.x;
  let i = group * ${width}u + lane;
${spec.body()}
}
`,
  }
}

function bindingText({ name, access, as = name, type = 'f32' }: BufferSpec, at: number): string {
  if (access === 'uniform') return `@group(0) @binding(${at}) var<uniform> ${as}: ${type};`
  return `@group(0) @binding(${at}) var<storage, ${access}> ${as}: array<${type}>;`
}

function uniformText(at: number, fields: readonly Field[]): string {
  const lines = fields.map(([name, type]) => `  ${name}: ${type},`)
  return `struct Uniforms {\n${lines.join('\n')}\n}\n@group(0) @binding(${at}) var<uniform> u: Uniforms;`
}

/** Threads for a kernel that gives a workgroup to each row of `n`. */
export const rowWidth = (n: number): number => (n <= 64 ? 32 : n <= 512 ? 64 : 256)

/** What a row is reduced to: how two values join, the value that changes nothing, and a subgroup's values as one. */
const joins = {
  sum: { join: 'a + b', none: '0.0', subgroup: 'subgroupAdd(v)' },
  /** NaN where one is: max2 of math.ts keeps it, subgroupMax need not. Needs bitsText and extremaText. */
  max: {
    join: 'max2(a, b)',
    none: '-infinity()',
    subgroup: 'select(subgroupMax(select(v, -infinity(), is_nan(v))), nan(), subgroupAny(is_nan(v)))',
  },
} as const
export type Join = keyof typeof joins

/** The start of a thread's own sum or maximum. */
export const startOf = (join: Join) => joins[join].none

/**
 * `fn NAME(v: f32, lane: u32) -> f32`: the sum or maximum over the workgroup, the same in every thread, in a fixed order.
 * To be called by all threads.
 *
 * With subgroups: a thread joins the cells of every count-th thread of the workgroup from its place in the subgroup on, the
 * subgroup joins its count results. One barrier, and right for any size of subgroup and any threads in it, which WGSL leaves
 * open; count is the threads that are there, since a subgroup may be wider than the workgroup. The order is the device's.
 * Without: some threads join a column of cells each, then every thread joins those. Two barriers.
 */
export function workgroupReduce(name: string, width: number, kind: Join, subgroups: number): string {
  const { join, none, subgroup } = joins[kind]
  const own = `fn ${name}_join(a: f32, b: f32) -> f32 { return ${join}; }`
  // The halves of the cells take turns: a slow thread may still read those of the call before.
  if (subgroups > 0) {
    return `var<workgroup> ${name}_cells: array<f32, ${2 * width}>;
var<private> ${name}_half = 0u;
${own}
fn ${name}_subgroup(v: f32) -> f32 { return ${subgroup}; }
fn ${name}(own: f32, lane: u32) -> f32 {
  ${name}_half ^= ${width}u;
  ${name}_cells[${name}_half + lane] = own;
  workgroupBarrier();
  let place = subgroupExclusiveAdd(1u);
  let count = subgroupAdd(1u);
  var all = ${none};
  for (var at = place; at < ${width}u; at += count) { all = ${name}_join(all, ${name}_cells[${name}_half + at]); }
  return ${name}_subgroup(all);
}`
  }
  const columns = width >= 256 ? 16 : 8
  return `var<workgroup> ${name}_cells: array<f32, ${width}>;
var<workgroup> ${name}_columns: array<f32, ${columns}>;
${own}
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
