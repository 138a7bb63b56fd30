// Stands in for ../fixtures.ts in a page: copies stored files into the browser's own storage, where the library reads them.
const at = (path: string) => `/test/fixtures/${path}`

async function answer(url: string): Promise<Response> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
  return response
}

/** The stored folder or file as a path for the library. */
export async function fixture(path: string): Promise<string> {
  const names = (await (await answer(`/list?${path}`)).json()) as string[]
  for (const name of names) {
    const parts = name.split('/')
    const file = parts.pop()!
    let folder = await navigator.storage.getDirectory()
    for (const part of parts) folder = await folder.getDirectoryHandle(part, { create: true })
    const writable = await (await folder.getFileHandle(file, { create: true })).createWritable()
    await writable.write(await (await answer(at(name))).arrayBuffer())
    await writable.close()
  }
  return `/${path}`
}

/** A stored JSON file. */
export const fixtureJson = async (path: string) => (await answer(at(path))).json()
