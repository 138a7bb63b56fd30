// Files that were dropped or picked, with their place in folders. Only reads names: decoding is the session's.
import type { PlacedFile } from '../data/labelled-files.ts'

export type { PlacedFile }

function filesOf(entry: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = entry.createReader()
  const all: FileSystemEntry[] = []
  // A reader gives a hundred entries a time until it gives none.
  const next = (): Promise<FileSystemEntry[]> =>
    new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject)).then((some) => {
      all.push(...some)
      return some.length > 0 ? next() : all
    })
  return next()
}

async function walk(entry: FileSystemEntry, folders: readonly string[], found: PlacedFile[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    found.push({ file, folders })
    return
  }
  const inside = await filesOf(entry as FileSystemDirectoryEntry)
  for (const child of inside.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))) {
    await walk(child, [...folders, entry.name], found)
  }
}

/** All files of a drop, those in folders included. To be called while the event is handled: entries are gone after it. */
export async function droppedFiles(transfer: DataTransfer): Promise<PlacedFile[]> {
  const items = [...transfer.items].filter((item) => item.kind === 'file')
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile())
  const found: PlacedFile[] = []
  for (const entry of entries) {
    if (entry instanceof File) found.push({ file: entry, folders: [] })
    else if (entry) await walk(entry, [], found)
  }
  return found
}

/** Files of an input element; one with `webkitdirectory` knows their folders. */
export function pickedFiles(files: Iterable<File>): PlacedFile[] {
  return [...files].map((file) => ({ file, folders: file.webkitRelativePath.split('/').slice(0, -1) }))
}

/** Asks for files with the browser's own dialog; none when it is closed. */
export function pickFiles(options: { folder?: boolean; accept?: string } = {}): Promise<PlacedFile[]> {
  const input = document.createElement('input')
  input.type = 'file'
  input.multiple = true
  if (options.folder) input.webkitdirectory = true
  else if (options.accept) input.accept = options.accept
  return new Promise((resolve) => {
    input.addEventListener('change', () => resolve(pickedFiles(input.files ?? [])))
    input.addEventListener('cancel', () => resolve([]))
    input.click()
  })
}

/** Lets files be dropped on an element, which has the class `over` while they hover. */
export function acceptDrops(element: HTMLElement, onFiles: (files: PlacedFile[]) => void): void {
  let depth = 0
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
  const leave = () => {
    depth = 0
    element.classList.remove('over')
  }
  element.addEventListener('dragenter', (event) => {
    if (!hasFiles(event)) return
    event.preventDefault()
    depth++
    element.classList.add('over')
  })
  element.addEventListener('dragover', (event) => {
    if (hasFiles(event)) event.preventDefault()
  })
  element.addEventListener('dragleave', () => {
    if (--depth <= 0) leave()
  })
  element.addEventListener('drop', (event) => {
    if (!hasFiles(event)) return
    event.preventDefault()
    event.stopPropagation()
    leave()
    void droppedFiles(event.dataTransfer!).then(onFiles)
  })
}
