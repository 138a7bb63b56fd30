// The entry of all workers of a page: the session's, which is given texts, or an image worker, which needs none: one text for
// both is 11 KB less to load. Bundled by rollup.config.mjs.
import { makeImages } from '../data/image-worker.ts'
import { settleStorage } from '../platform/browser-storage.ts'
import { createHost } from './host.ts'
import { serve } from './rpc.ts'

if (VITUNE_TEXTS.imageWorker === undefined) makeImages()
else {
  // Nothing is served before it is known where files are.
  const serving = settleStorage().then((memory) => serve(createHost(memory), (reply) => postMessage(reply)))
  self.onmessage = async ({ data }) => (await serving)(data)
}
