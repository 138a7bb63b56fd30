// What a download from the hub looks like.
import type { DownloadProgress } from '../io/model-files.ts'
import { bytes } from './format.ts'
import { bar, type Ui } from './ui.ts'

/** Shows downloads: a bar on a terminal, else one line a file. */
export function downloads(ui: Ui): (progress: DownloadProgress) => void {
  return ({ file, done, total }) => {
    if (!ui.live) {
      // The first report of a file says that nothing has come yet.
      if (done === 0) ui.note(`downloading ${file} (${bytes(total)})`)
      return
    }
    ui.progress(() => `downloading ${file} ${bar(total > 0 ? done / total : 0)} ${bytes(done)} of ${bytes(total)}`)
    if (done >= total) ui.clear()
  }
}
