// Stored values for tests that also run in a page, where page/fixtures.ts takes this file's place.
import { readFileSync } from 'node:fs'

const root = new URL('fixtures/', import.meta.url).pathname

/** The stored folder or file as a path for the library. */
export const fixture = async (path: string): Promise<string> => root + path

/** A stored JSON file. */
export const fixtureJson = async (path: string) => JSON.parse(readFileSync(root + path, 'utf8'))
