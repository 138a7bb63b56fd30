// jax-js in a page: the same code as in Node.
import { open as openJax } from './jax.mjs'

/** Opens what `spec` describes; its version is not known to a page. */
export const open = (spec) => openJax(spec, {})
