// Types of serve.mjs, for tests in TypeScript.
import type { IncomingMessage } from 'node:http'

export type Body = string | Uint8Array
export type Answer = Body | { body: Body; type?: string; status?: number; headers?: Record<string, string> }
export type Route = Answer | ((request: IncomingMessage) => Answer | Promise<Answer>)

export interface ServeOptions {
  /** COOP and COEP headers, so that the page has shared memory; default true. */
  isolated?: boolean
  /** Answers by path, ahead of files. */
  routes?: Record<string, Route>
  /** The folder that is served; default the repository. */
  root?: string
}

export interface Server {
  /** Its address without a slash at its end. */
  readonly url: string
  close(): Promise<void>
}

/** The element that lets a page import the package by each of its addresses. */
export const importMap: string

export function serve(options?: ServeOptions): Promise<Server>
