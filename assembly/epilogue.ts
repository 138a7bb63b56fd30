// How a product's sums become y: y = residual + colScale gate act(alpha sum + bias), slope beside it. Shared by the products of
// f32 numbers (matmul.ts) and of codes (matmul-i8.ts), of whose tiles it takes 8 columns at a time.
import { at, gelu16, gelu4, geluGrad16, geluGrad4, loadPart, splat, storePart } from './math'

// How y is finished; set at the start of a call. Each thread has its own instance, so these are private to it.
let y: usize = 0
let slope: usize = 0
let bias: usize = 0
let colScale: usize = 0
let residual: usize = 0
let gate: usize = 0
let rows: i32 = 0 // m
let width: i32 = 0 // n
let alpha: f32 = 1
let act: i32 = 0 // 1 gelu, 2 its slope
let accumulate: bool = false
let spare: usize = 0 // scratch of a tile: 128 numbers

/** Says how y is finished; addresses are 0 for what is not given, `room` is that of 128 numbers. */
export function beginEpilogue(
  toY: usize,
  toSlope: usize,
  fromBias: usize,
  fromColScale: usize,
  fromResidual: usize,
  fromGate: usize,
  m: i32,
  n: i32,
  factor: f32,
  activation: i32,
  adds: bool,
  room: usize,
): void {
  y = toY
  slope = toSlope
  bias = fromBias
  colScale = fromColScale
  residual = fromResidual
  gate = fromGate
  rows = m
  width = n
  alpha = factor
  act = activation
  accumulate = adds
  spare = room
}

// @ts-ignore: decorator
@inline
function get(p: usize, count: i32): v128 {
  return count < 4 ? loadPart(p, count) : v128.load(p)
}

/** act of up to four neighbouring elements, whose slope is stored where wanted. For the edges: `finishRows` is the fast way. */
function act4(v: v128, index: i32, count: i32): v128 {
  if (act == 2) return geluGrad4(v)
  if (slope != 0) {
    if (count < 4) storePart(slope + at(index), geluGrad4(v), count)
    else v128.store(slope + at(index), geluGrad4(v))
  }
  return gelu4(v)
}

/** alpha, bias, act with slope, gate, colScale, residual, accumulate on up to four neighbouring elements at row * n + column. */
// @ts-ignore: decorator
@inline
function finish(sum: v128, index: i32, column: i32, count: i32): void {
  let v = f32x4.mul(sum, splat(alpha))
  if (bias != 0) v = f32x4.add(v, get(bias + at(column), count))
  if (act != 0) v = act4(v, index, count)
  if (gate != 0) v = f32x4.mul(v, get(gate + at(index), count))
  if (colScale != 0) v = f32x4.mul(v, get(colScale + at(column), count))
  if (residual != 0) v = f32x4.add(v, get(residual + at(index), count))
  if (accumulate) v = f32x4.add(v, get(y + at(index), count))
  if (count < 4) storePart(y + at(index), v, count)
  else v128.store(y + at(index), v)
}

/** `height` whole rows: as `finish`, row by row, with act taken four vectors at a time; they may end within the last four. */
function finishRows(tile: usize, step: usize, index: i32, column: i32, height: i32): void {
  const factor = splat(alpha)
  const b0 = bias != 0 ? v128.load(bias + at(column)) : splat(0)
  const b1 = bias != 0 ? v128.load(bias + at(column), 16) : splat(0)
  let p = tile
  if (act != 0) {
    const values = spare + 128
    const end = values + 32 * height
    for (p = values; p < end; p += 32, tile += step) {
      v128.store(p, f32x4.add(f32x4.mul(v128.load(tile), factor), b0))
      v128.store(p, f32x4.add(f32x4.mul(v128.load(tile, 16), factor), b1), 16)
    }
    for (p = values; p < end; p += 64) {
      if (act == 2) geluGrad16(p, p, false, spare)
      else if (slope != 0) geluGrad16(p, p + 192, true, spare)
      else gelu16(p, spare)
    }
    p = values
    step = 32
  }
  let place = at(index)
  for (const end = p + step * height; p < end; p += step, place += at(width)) {
    let v = v128.load(p)
    let w = v128.load(p, 16)
    if (act == 0) {
      v = f32x4.add(f32x4.mul(v, factor), b0)
      w = f32x4.add(f32x4.mul(w, factor), b1)
    }
    if (slope != 0) {
      v128.store(slope + place, v128.load(p, 192))
      v128.store(slope + place, v128.load(p, 208), 16)
    }
    if (gate != 0) {
      v = f32x4.mul(v, v128.load(gate + place))
      w = f32x4.mul(w, v128.load(gate + place, 16))
    }
    if (colScale != 0) {
      v = f32x4.mul(v, v128.load(colScale + at(column)))
      w = f32x4.mul(w, v128.load(colScale + at(column), 16))
    }
    if (residual != 0) {
      v = f32x4.add(v, v128.load(residual + place))
      w = f32x4.add(w, v128.load(residual + place, 16))
    }
    if (accumulate) {
      v = f32x4.add(v, v128.load(y + place))
      w = f32x4.add(w, v128.load(y + place, 16))
    }
    v128.store(y + place, v)
    v128.store(y + place, w, 16)
  }
}

/**
 * Finishes 8 columns of a tile of `most` rows (HEIGHT at most), `step` bytes from one to the next, whose first element is
 * (row, column) of product `batch`.
 */
export function epilogue(tile: usize, step: usize, batch: i32, row: i32, column: i32, most: i32): void {
  const height = min(most, rows - row)
  let index = (batch * rows + row) * width + column
  const left = width - column
  if (left >= 8 && height == most) return finishRows(tile, step, index, column, height)
  for (let i = 0; i < height; i++, index += width, tile += step) {
    finish(v128.load(tile), index, column, min(4, left))
    if (left > 4) finish(v128.load(tile, 16), index + 4, column + 4, min(4, left - 4))
  }
}
