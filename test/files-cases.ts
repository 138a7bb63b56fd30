// What every kind of files has to do, as text of what came out, the same everywhere.
import type { Files } from '../src/platform/platform.ts'

/** Every method of the files; runs in a page or a worker too, so it sees nothing but its argument. */
export async function useFiles(files: Files): Promise<string[]> {
  const out: string[] = []
  const text = async (path: string) => new TextDecoder().decode(await files.read(path))
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => 'nothing thrown',
      (error) => `${error.name} ${error.code ?? ''} ${error.message}`,
    )
  await files.makeFolder('/a/b')
  await files.writeAtomic('/a/b/one.txt', 'one')
  await files.writeAtomic('/a/b/one.txt', 'two')
  out.push(await text('/a/b/one.txt'))
  async function* parts() {
    yield Uint8Array.of(1, 2)
    yield Uint8Array.of(3)
  }
  await files.writeAtomic('/a/parts', parts())
  out.push(String(await files.read('/a/parts')), String(await files.readRange('/a/parts', 1, 2)))
  out.push(await failure(files.readRange('/a/parts', 2, 2)))
  async function* breaking() {
    yield Uint8Array.of(9)
    throw new Error('broke off')
  }
  out.push(await failure(files.writeAtomic('/a/parts', breaking())), String(await files.read('/a/parts')))
  out.push(await failure(files.writeAtomic('/a/new', breaking())), String(await files.kind('/a/new')))
  await files.append('/a/lines', 'x\n')
  await files.append('/a/lines', 'y\n')
  out.push(await text('/a/lines'))
  out.push(String([await files.size('/a/parts'), await files.size('/a/none'), await files.size('/a')]))
  out.push(String([await files.kind('/a'), await files.kind('/a/parts'), await files.kind('/a/parts/x')]))
  out.push(String(await files.list('/a')))
  out.push(await failure(files.read('/a/none')), await failure(files.list('/none')))
  await files.remove('/a/b')
  await files.remove('/a/none')
  out.push(String(await files.list('/a')))
  out.push(files.join('/a', '..', 'b'), files.resolve('/a/../b/./c'), files.baseName('/a/b/'))
  await files.remove('/a')
  return out
}

/** What it answers. */
export const expected = [
  'two',
  '1,2,3',
  '2,3',
  'Error  /a/parts: bytes 2 to 4 asked for, the file has 3',
  'Error  broke off',
  '1,2,3',
  'Error  broke off',
  'undefined',
  'x\ny\n',
  '3,,',
  'folder,file,',
  'b/,lines,parts',
  'Error ENOENT ENOENT: no such file or folder, /a/none',
  'Error ENOENT ENOENT: no such file or folder, /none',
  'lines,parts',
  '/a/../b',
  '/b/c',
  'b',
]
