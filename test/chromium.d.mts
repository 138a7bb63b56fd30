// Types of chromium.mjs, for tests in TypeScript.
import type { IncomingMessage } from 'node:http'
import type { BrowserContext, BrowserContextOptions, Page } from 'playwright-core'

export type Body = string | Uint8Array
export type Answer = Body | { body: Body; type?: string; status?: number; headers?: Record<string, string> }
export type Route = Answer | ((request: IncomingMessage) => Answer | Promise<Answer>)

export interface PageOptions {
  /** COOP and COEP headers, so that the page has shared memory; default true. */
  isolated?: boolean
  /** Answers by path, ahead of files; '/' is an empty page unless given here or `root` is. */
  routes?: Record<string, Route>
  /** The folder that is served; default the repository. */
  root?: string
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
