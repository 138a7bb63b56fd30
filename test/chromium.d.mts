// Types of chromium.mjs, for tests in TypeScript.
import type { BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import type { ServeOptions } from './serve.mjs'

/** Of `routes`, '/' is an empty page unless it is given or `root` is. */
export interface PageOptions extends ServeOptions {
  /** The page to open; default '/'. */
  path?: string
  context?: BrowserContextOptions
}

export interface OpenPage {
  readonly page: Page
  readonly context: BrowserContext
  /** The server's address without a slash at its end. */
  readonly url: string
  /** What the page threw or logged as an error so far. */
  readonly errors: string[]
  close(): Promise<void>
}

export function available(): true | string
export function openPage(options?: PageOptions): Promise<OpenPage>
