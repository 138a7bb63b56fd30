// The name that was likely meant, where one is unknown.

/** What other tools call the settings that are here; letters and digits alone, since they differ in the rest. */
const otherNames: Readonly<Record<string, string>> = {
  learningrate: 'lr',
  maxepochs: 'epochs',
  numepochs: 'epochs',
  numtrainepochs: 'epochs',
  perdevicetrainbatchsize: 'batchSize',
  batch: 'batchSize',
  batchsize: 'batch',
  gradientclipval: 'clip',
  maxgradnorm: 'clip',
  accumulategradbatches: 'accumulate',
  gradientaccumulationsteps: 'accumulate',
  warmupsteps: 'warmup',
  labelsmoothingfactor: 'labelSmoothing',
  earlystopping: 'patience',
  gradientcheckpointing: 'checkpointing',
  imagesize: 'inputSize',
  method: 'peft',
  peft: 'method',
  outputdir: 'out',
  output: 'out',
  loraalpha: 'alpha',
  lorar: 'rank',
  r: 'rank',
  rank: 'r',
  targetmodules: 'targets',
  targets: 'targetModules',
  loradropout: 'dropout',
  userslora: 'rslora',
  rslora: 'useRslora',
}

/** Letters to put in, take out, change or swap with the next to make one text of the other. */
function edits(a: string, b: string): number {
  let [before, row]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      next[j] = Math.min(row![j]! + 1, next[j - 1]! + 1, row![j - 1]! + (same ? 0 : 1))
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) next[j] = Math.min(next[j]!, before![j - 2]! + 1)
    }
    before = row
    row = next
  }
  return row![b.length]!
}

/** The known name that was likely meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const bare = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '')
  const wanted = bare(name).slice(0, 40)
  const same = known.find((one) => bare(one) === wanted)
  const other = otherNames[wanted]
  if (same ?? (other !== undefined && known.includes(other))) return same ?? other
  const [best] = known.map((one) => ({ one, far: edits(wanted, bare(one)) })).sort((a, b) => a.far - b.far)
  return best && best.far <= Math.max(1, Math.floor(best.one.length / 3)) ? best.one : undefined
}
