// A static server under Node, for the page that trains: one folder, to this machine alone, with the isolation headers.
import { statSync } from 'node:fs'
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { extname, join, sep } from 'node:path'
import { pipeline } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { InputError } from './errors.ts'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.md': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
}

/** With the first three a page may share memory between threads. */
const always = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-cache',
}

// A page of another site may have its own name lead here; the port is any, since a tunnel may have changed it.
const ownHost = /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i

export interface FolderServer {
  readonly address: string
  close(): Promise<void>
}

/** Whether there is such a file. */
export const hasFile = (url: URL): boolean => statSync(url, { throwIfNoEntry: false })?.isFile() === true

/** A status, and the sentence that goes with it. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Record<string, string> = {},
  ) {
    super(message)
  }
}

/** The names on the way to a file, of a request as a browser or a proxy writes it. */
function partsOf({ url = '', headersDistinct, headers: { host = '' } }: IncomingMessage): string[] {
  if ((headersDistinct.host?.length ?? 0) > 1) throw new Refusal(400, 'A request names one host.')
  const [, named, path] = /^(?:http:\/\/([^/?#]*))?([^?#]*)/i.exec(url) ?? []
  if (!ownHost.test(named ?? host)) throw new Refusal(421, 'This server answers to localhost only.')
  if (!path?.startsWith('/') && !(named && path === '')) throw new Refusal(400, 'The path must begin with a slash.')
  let plain: string
  try {
    plain = decodeURIComponent(path || '/')
  } catch {
    throw new Refusal(400, 'The path holds a % that is no character.')
  }
  const parts = plain.slice(1).split('/')
  if (parts.at(-1) === '') parts[parts.length - 1] = 'index.html'
  return parts
}

const absent = ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'EACCES', 'EPERM', 'EINVAL']

/** The file that the parts lead to, open, with its size; undefined where there is none of this folder. */
async function openBelow(root: string, parts: string[]): Promise<{ file: FileHandle; size: number } | undefined> {
  // A part is a name and nothing else; `..` and a backslash are those of Windows too.
  if (parts.some((part) => part === '' || part.startsWith('.') || /[\\/:\0]/.test(part))) return undefined
  let file: FileHandle | undefined
  try {
    const path = await realpath(join(root, ...parts))
    if (!path.startsWith(root + sep) || !statSync(path).isFile()) return undefined
    file = await open(path, 'r')
    return { file, size: (await file.stat()).size }
  } catch (error) {
    await file?.close()
    if (absent.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

async function serve(root: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts = partsOf(request)
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new Refusal(405, 'This server is asked by GET and HEAD.', { Allow: 'GET, HEAD' })
  }
  const found = await openBelow(root, parts)
  if (!found) throw new Refusal(404, `There is no ${parts.join('/').slice(0, 100)} here.`)
  const type = types[extname(parts.at(-1) ?? '')] ?? 'application/octet-stream'
  response.writeHead(200, { ...always, 'Content-Type': type, 'Content-Length': found.size })
  if (request.method === 'HEAD' || found.size === 0) {
    response.end()
    return found.file.close()
  }
  // Up to the size that was announced, should the file grow meanwhile; whoever breaks off, both ends are closed.
  pipeline(found.file.createReadStream({ end: found.size - 1 }), response, () => response.destroy())
}

function refuse(error: unknown, response: ServerResponse): void {
  if (response.headersSent) return void response.destroy()
  const refusal = error instanceof Refusal ? error : new Refusal(500, 'This server could not answer.')
  response
    .writeHead(refusal.status, { ...always, ...refusal.headers, 'Content-Type': 'text/plain; charset=utf-8' })
    .end(refusal.message)
}

/** Serves a folder at localhost; port 0 takes a free one. Throws an InputError when the port is taken. */
export async function serveFolder(folder: URL, port: number): Promise<FolderServer> {
  const root = await realpath(fileURLToPath(folder))
  const server = createServer((request, response) => {
    serve(root, request, response).catch((error) => refuse(error, response))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE' || error.code === 'EACCES'
      reject(taken ? new InputError(`port: ${port} cannot be used (${error.code}); choose another one`) : error)
    })
    server.listen(port, 'localhost', resolve)
  })
  // Later ones are of single connections (no file handle is left, say), which end; the server goes on.
  server.on('error', () => {})
  const at = server.address()
  const used = at !== null && typeof at === 'object' ? at.port : port
  return {
    address: `http://localhost:${used}/`,
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
