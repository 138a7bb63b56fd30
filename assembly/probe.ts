// The micro-kernel alone, to be timed before a whole module is compiled (src/backend/wasm/wide.ts).
import { at } from './math'
import { HEIGHT, multiplyPanels } from './panels'

/** tile = A panel times B panel, `times` times, from panels of 16 that lie behind each other; gives the multiply-adds of one. */
export function run(times: i32, a: usize, b: usize, k: i32, tile: usize): void {
  for (let i = 0; i < times; i++) multiplyPanels(a + at(HEIGHT * k * (i & 15)), b, k, tile)
}
