// Code that runs in a worker, made one text by rollup.config.mjs.

declare module 'worker:image-worker' {
  export function source(): string
}
