// The worker's entry: serves the session's calls. Bundled into text by rollup.config.mjs.
import { createHost } from './host.ts'
import { serve } from './rpc.ts'

const answer = serve(createHost(), (reply) => postMessage(reply))
self.onmessage = ({ data }) => answer(data)
