// Adapters leave the page as one zip of the two files that PEFT reads, and come back as that zip or as the files.
import { unzipSync, zipSync } from 'fflate'
import { type Method, methodOf } from '../adapters/methods.ts'
import type { App } from './app.ts'
import { h } from './dom.ts'

/** Offers a file as a download. */
function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob)
  h('a', { href: url, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

/** What a run's download is: linear and full training change the model itself. */
export const downloadLabel = (method: Method): string =>
  methodOf(method).saves === 'adapter' ? 'Download the adapter' : 'Download the model'

/** Downloads a run's adapter (for full and linear its whole model) as a zip, uncompressed: weights do not shrink. */
export async function saveAdapter({ session, leaving }: App, run: string): Promise<void> {
  const files = await session.adapterFiles(run)
  const contents: Record<string, Uint8Array> = {}
  for (const file of files) contents[file.name] = new Uint8Array(await file.arrayBuffer())
  const zip = zipSync(contents, { level: 0 })
  download(new Blob([zip as Uint8Array<ArrayBuffer>], { type: 'application/zip' }), `${run.replaceAll(' ', '-')}.zip`)
  leaving.done(run)
}

const config = 'adapter_config.json'
const weights = 'adapter_model.safetensors'

/** The files of an adapter out of what was dropped (with the run.json that names its classes), and the model that they name. Rejects with one sentence. */
export async function readAdapter(files: readonly File[]): Promise<{ files: File[]; base: string; name: string }> {
  const zip = files.find((file) => file.name.endsWith('.zip'))
  let inside = [...files]
  if (zip) {
    let entries: Record<string, Uint8Array>
    try {
      entries = unzipSync(new Uint8Array(await zip.arrayBuffer()))
    } catch {
      throw new Error(`${zip.name} is no zip that can be read`)
    }
    inside = Object.entries(entries).map(
      ([path, bytes]) => new File([bytes as Uint8Array<ArrayBuffer>], path.split('/').at(-1) ?? path),
    )
  }
  const found = [config, weights].map((name) => inside.find((file) => file.name === name))
  if (!found[0] || !found[1]) throw new Error(`An adapter is ${config} and ${weights}, or a zip of both`)
  const text = await found[0].text()
  let base = ''
  try {
    base = String((JSON.parse(text) as { base_model_name_or_path?: unknown }).base_model_name_or_path ?? '')
  } catch {
    throw new Error(`${config} is no JSON`)
  }
  return { files: inside, base, name: zip ? zip.name.replace(/\.zip$/, '') : 'adapter' }
}
