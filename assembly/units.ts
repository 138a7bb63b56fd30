// How threads share a product: blocks of rows, the last of which are cut by columns too, so that the threads end together;
// not all are, since every cut packs the block's rows of A once more. Counted in panels of rows and of columns.
import { ceilDiv } from './math'

/** Most panels of rows in a block, and most columns. */
export const ROWS: i32 = 16
const COLUMNS: i32 = 2048
/** Steps of the inner size, by panels of rows and columns, that take some 50 us: shorter units are not worth taking. */
const LONG: i64 = 20000

// Set at the start of a call, and private to the thread.
let rowPanels: i32 = 0
let panels: i32 = 0
let tall: i32 = 0
let down: i32 = 0
let wide: i32 = 0
let narrow: i32 = 0
let across: i32 = 0
let parts: i32 = 0
let early: i32 = 0
let whole: i32 = 0

// The unit that `openUnit` opened: its product, its panels of rows [p0, p1) and of columns [c0, c1).
export let product: i32 = 0
export let p0: i32 = 0
export let p1: i32 = 0
export let c0: i32 = 0
export let c1: i32 = 0

/** Cuts `products` products of so many panels, those of columns `width` wide, each pair of which takes `steps`; gives the number of units. */
export function cutUnits(products: i32, rows: i32, columns: i32, width: i32, steps: i32, threads: i32): i32 {
  rowPanels = rows
  panels = columns
  tall = ROWS
  while (threads > 1 && tall > 8 && products * ceilDiv(rowPanels, tall) < 8 * threads) tall >>= 1
  down = ceilDiv(rowPanels, tall)
  const blocks = products * down
  wide = min(COLUMNS / width, panels)
  const late = threads > 1 ? min(blocks, threads) : 0
  narrow = wide
  while (
    narrow > 128 / width &&
    late * ceilDiv(panels, narrow) < 4 * threads &&
    <i64>min(tall, rowPanels) * narrow * steps > LONG
  ) {
    narrow = ceilDiv(narrow, 2)
  }
  across = ceilDiv(panels, wide)
  parts = ceilDiv(panels, narrow)
  whole = blocks - late
  early = whole * across
  return early + late * parts
}

export function openUnit(u: i32): void {
  const cut = u - early
  const block = cut < 0 ? u / across : whole + cut / parts
  product = block / down
  p0 = (block % down) * tall
  p1 = min(rowPanels, p0 + tall)
  c0 = cut < 0 ? (u % across) * wide : (cut % parts) * narrow
  c1 = min(panels, c0 + (cut < 0 ? wide : narrow))
}
