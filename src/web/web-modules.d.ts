// The worker's whole code as text: worker.ts with all it imports, made by rollup.config.mjs. Empty in Node.

declare module 'web:worker' {
  export function workerText(): string
}

/** What the page puts before that text. */
declare const VITUNE_TEXTS: { readonly imageWorker?: string }
