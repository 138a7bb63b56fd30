// vitune in a page, for the bundle that sections/browser.ts makes.
export { open } from './vitune.mjs'
