// y = residual + colScale gate act(alpha A diag(kScale) B + bias): packed operands and a micro-kernel, f32 accumulation.
// Phase 0 packs B once for all threads, phase 1 multiplies. A is packed by each thread for the rows it takes.
// The inner size is cut into blocks that depend on it alone, so a result never depends on how threads share the work.
import { beginEpilogue, epilogue } from './epilogue'
import { at, ceilDiv } from './math'
import { addPanels, HEIGHT, packA, packB, TILE, WIDTH } from './panels'
import { float, int, own, PHASE, pointer, SHARED, take } from './record'
import { c0, c1, cutUnits, openUnit, p0, p1, product, ROWS } from './units'
import { openPacked, packWords } from './unpack'

/** Longest inner block: a panel of A is then at most 12 KiB and stays in the first-level cache. */
const DEPTH = 512
/**
 * Panels of columns that a panel of rows meets before the next one's turn, for inner blocks of `depth`: 128 KiB of B at most,
 * which stay in the second-level cache. What is read and written beside the product (y, gate, residual) then lies some hundred
 * bytes in a row, which processors fetch ahead; 32 they do not. One for all blocks of a product, the shorter last one too:
 * partial sums are found again by the order of the tiles.
 */
// @ts-ignore: decorator
@inline
function panelsAcross(depth: i32): i32 {
  return max(64, 32768 / depth) / WIDTH
}

/** Inner block length for an inner size k: equal blocks of at most DEPTH. */
// @ts-ignore: decorator
@inline
function blockDepth(k: i32): i32 {
  return max(1, ceilDiv(k, max(1, ceilDiv(k, DEPTH))))
}

/** Multiplies row j of panels of columns, k rows each, by scale[j]. */
function scalePanels(panels: usize, count: i32, k: i32, scale: usize): void {
  for (let panel = 0; panel < count; panel++) {
    for (let j = 0; j < k; j++) {
      const s = v128.load_splat<f32>(scale + at(j))
      for (const end = panels + at(WIDTH); panels < end; panels += 32) {
        v128.store(panels, f32x4.mul(v128.load(panels), s))
        v128.store(panels, f32x4.mul(v128.load(panels, 16), s), 16)
      }
    }
  }
}

/** Phase 0: B as [product][inner block][panel][k][WIDTH] in scratch. */
function pack(r: usize, thread: i32, threads: i32): void {
  const n = int(r, 13)
  const k = int(r, 14)
  const transposed = int(r, 16) != 0
  const strideB = int(r, 18)
  const products = strideB == 0 ? 1 : int(r, 11)
  const source = pointer(r, 4)
  const scale = pointer(r, 8)
  const out = pointer(r, SHARED)
  const format = int(r, 22)
  if (format != 0) {
    openPacked(source, pointer(r, 10), transposed ? n : k, transposed ? k : n, format, int(r, 23), own(r, thread))
  }
  const panels = ceilDiv(n, WIDTH)
  const depth = blockDepth(k)
  const blocks = ceilDiv(k, depth)
  const units = products * blocks * panels
  const step = ceilDiv(units, threads == 1 ? 1 : 8 * threads)
  for (;;) {
    let u = take(r) * step
    if (u >= units) return
    const end = min(units, u + step)
    while (u < end) {
      const panel = u % panels
      const block = (u / panels) % blocks
      const product = u / panels / blocks
      const to = min(panels, panel + end - u)
      const k0 = block * depth
      const from = source + at(product * strideB) + (transposed ? at(k0) : at(k0 * n))
      const target = out + at((product * k + k0) * panels * WIDTH)
      const kc = min(depth, k - k0)
      if (format != 0) packWords(k0, kc, n, transposed, target, panel, to)
      else packB(from, transposed ? k : n, kc, n, transposed, target, panel, to)
      if (scale != 0) scalePanels(target + at(panel * WIDTH * kc), to - panel, kc, scale + at(k0))
      u += to - panel
    }
  }
}

/** Phase 1; scratch of a thread: A panels [16][depth][HEIGHT], 128 spare numbers, tiles. The threads take blocks of rows and columns. */
function multiply(r: usize, thread: i32, threads: i32): void {
  const rows = int(r, 12)
  const width = int(r, 13)
  const a = pointer(r, 3)
  const k = int(r, 14)
  const transposed = int(r, 15) != 0
  const strideA = int(r, 17)
  const strideB = int(r, 18)
  const panels = ceilDiv(width, WIDTH)
  const rowPanels = ceilDiv(rows, HEIGHT)
  const products = int(r, 11)
  const depth = blockDepth(k)
  const group = panelsAcross(depth)

  const units = cutUnits(products, rowPanels, panels, WIDTH, k, threads)
  const packed = pointer(r, SHARED)
  const mine = own(r, thread)
  const spare = mine + at(ROWS * HEIGHT * depth)
  const tiles = spare + 512
  const tileStep: usize = depth < k ? TILE : 0 // partial sums outlive a block only when more follow
  const ld = transposed ? rows : k
  beginEpilogue(
    pointer(r, 1),
    pointer(r, 2),
    pointer(r, 5),
    pointer(r, 6),
    pointer(r, 7),
    pointer(r, 9),
    rows,
    width,
    float(r, 19),
    int(r, 20),
    int(r, 21) != 0,
    spare,
  )
  for (let u = take(r); u < units; u = take(r)) {
    openUnit(u)
    const row = p0 * HEIGHT
    const height = min(rows, p1 * HEIGHT) - row
    const source = a + at(product * strideA)
    const base = packed + (strideB == 0 ? 0 : at(product * k * panels * WIDTH))
    let k0 = 0
    do {
      const kc = min(depth, k - k0)
      const last = k0 + kc >= k
      packA(source + (transposed ? at(k0 * ld + row) : at(row * ld + k0)), ld, height, kc, transposed, mine)
      let b = base + at(k0 * panels * WIDTH + c0 * WIDTH * kc)
      let tile = tiles
      for (let c = c0; c < c1; c += group, b += at(group * WIDTH * kc)) {
        const stop = min(c1, c + group)
        let p = mine
        for (let i = p0; i < p1; i++, p += at(HEIGHT * kc)) {
          let q = b
          for (let j = c; j < stop; j++, q += at(WIDTH * kc), tile += tileStep) {
            addPanels(p, q, kc, tile, k0 == 0, spare)
            if (!last) continue
            for (let t: usize = 0, column = j * WIDTH; t < at(WIDTH) && column < width; t += 32, column += 8) {
              epilogue(tile + t, at(WIDTH), product, i * HEIGHT, column, HEIGHT)
            }
          }
        }
      }
      k0 += kc
    } while (k0 < k)
  }
}

export function matmul(r: usize, thread: i32, threads: i32): void {
  if (int(r, PHASE) == 0) pack(r, thread, threads)
  else multiply(r, thread, threads)
}
