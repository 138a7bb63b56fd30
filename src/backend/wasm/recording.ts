// A step while it is recorded: commands whose addresses lie in a block that is planned first and taken at the end.
// Not here: what a buffer or a command is (wasm.ts).
import type { Buf, Dtype } from '../kernels.ts'
import { createHeap, endless, type Heap } from './heap.ts'
import { WORDS } from './layout.ts'

/** Planned addresses start here: 0 stands for a buffer that is absent. */
const BASE = 64

/** A read that waits to look at the buffer itself; `copy` is where its values went if the buffer was used before that. */
export interface PendingRead {
  readonly address: number
  readonly length: number
  copy: number
  /** The command that makes the copy. */
  count: number
}

export class WasmBuf implements Buf {
  readonly reads: PendingRead[] = []
  constructor(
    readonly length: number,
    readonly dtype: Dtype,
    /** In bytes, or as planned while its recording lasts; 0 once freed. */
    public address: number,
    /** The count of commands after which none uses it. */
    public touched: number,
    /** The recording whose memory this is. */
    readonly home: Recording | undefined,
  ) {}
}

export interface Recording {
  /** Plans where the step's buffers and scratch lie. */
  readonly heap: Heap
  /** Buffers used that the step did not make. */
  readonly outside: Set<WasmBuf>
  /** Kernels recorded. */
  dispatches: number
  /** Whether its memory was given back. */
  over: boolean
  /** Copies one record; `planned` are the words that hold planned addresses. */
  add(record: Int32Array, planned: readonly number[]): void
  /** The step's records, for a block at `address`. */
  placed(address: number): Int32Array[]
  /** Where a planned address lies in a block at `address`. */
  place(planned: number, address: number): number
}

/** A recording of a step that may need at most `maxBytes`. */
export function createRecording(maxBytes: number): Recording {
  const records: Int32Array[] = []
  const words: number[][] = []
  const place = (planned: number, address: number) => planned - BASE + address
  return {
    heap: createHeap(endless, BASE, maxBytes),
    outside: new Set(),
    dispatches: 0,
    over: false,
    add(record, planned) {
      records.push(record.slice())
      words.push([...planned])
    },
    place,
    placed(address) {
      // One array for all, so that a replay walks through memory in order.
      const all = new Int32Array(records.length * WORDS)
      return records.map((record, i) => {
        const own = all.subarray(i * WORDS, (i + 1) * WORDS)
        own.set(record)
        // Addresses are unsigned.
        for (const word of words[i]!) own[word] = place(own[word]! >>> 0, address)
        return own
      })
    },
  }
}
