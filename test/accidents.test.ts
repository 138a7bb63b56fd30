// What accidents do to a run: damaged and foreign checkpoints, lines that no checkpoint knows, a second writer, a full disk.
import { appendFileSync, copyFileSync, cpSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError, type TrainEvent, type TrainOptions, train } from 'vitune'
import { images, model, temporary } from './cli-tools.ts'
import { errorOf } from './errors.ts'

const { folder, clean } = temporary()
test.after(clean)
const data = await images(join(folder, 'data'), 5)
let places = 0
/** A run folder that is not there yet. */
const fresh = () => join(folder, `run-${places++}`)

const basics = { data, model, epochs: 2, batchSize: 4, threads: 1, device: 'wasm' } as const
/** Trains to the end, or until `stop` says so of an event. */
async function run(given: Partial<TrainOptions>, stop?: (event: TrainEvent) => boolean): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  for await (const event of train((given.resume ? given : { ...basics, ...given }) as TrainOptions)) {
    events.push(event)
    if (stop?.(event)) break
  }
  return events
}
/** A run that was left after its third step. */
async function left(given: Partial<TrainOptions> = {}): Promise<string> {
  const out = fresh()
  await run({ ...given, out }, (event) => event.kind === 'step' && event.step === 3)
  return out
}
/** The sentence that the resuming of a run is refused with; nothing in its folder may change. */
async function refusal(out: string): Promise<string> {
  const before = contents(out)
  const error = await errorOf(run({ out, resume: true }))
  assert.instance(error, InputError, error.stack)
  assert.ok(error.message.length <= 300, error.message)
  assert.equal(contents(out), before)
  return error.message
}
const contents = (out: string) =>
  Object.fromEntries(readdirSync(out).map((name) => [name, readFileSync(join(out, name), 'latin1')]))
/** The files of a run but for run.json, which has times in it. */
const results = (out: string) => {
  const { 'run.json': _, ...rest } = contents(out)
  return rest
}

const whole = fresh()
await run({ out: whole })

test('a checkpoint in which a byte has changed is refused, wherever the byte is', async () => {
  const out = await left()
  const path = join(out, 'checkpoint.safetensors')
  const good = readFileSync(path)
  const header = 8 + Number(good.readBigUInt64LE(0))
  const step = good.indexOf('\\"step\\":3') + 9
  const places = {
    weight: header + 2,
    'last moment': good.length - 1,
    counter: step,
    length: 0,
    'a name': good.indexOf('weight.'),
  }
  for (const [what, place] of Object.entries(places)) {
    const bad = Buffer.from(good)
    bad[place]! ^= 1
    writeFileSync(path, bad)
    assert.match(await refusal(out), /checkpoint\.safetensors: damaged, .*remove it to begin the run again$/, what)
  }
  writeFileSync(path, good.subarray(0, good.length - 4))
  assert.match(await refusal(out), /checkpoint\.safetensors: damaged, /)
  // As the sentence says.
  writeFileSync(path, good)
  await run({ out, resume: true })
  assert.equal(results(out), results(whole))
})

test('a checkpoint of another run is refused, one of the same settings and images is as good as its own', async () => {
  const out = await left()
  const own = readFileSync(join(out, 'checkpoint.safetensors'))
  for (const given of [{ seed: 1 }, { lr: 0.5 }, { data: await images(join(folder, 'more'), 6) }]) {
    copyFileSync(join(await left(given), 'checkpoint.safetensors'), join(out, 'checkpoint.safetensors'))
    assert.match(await refusal(out), /belongs to another run/, JSON.stringify(given))
  }
  assert.ok(readFileSync(join(await left(), 'checkpoint.safetensors')).equals(own))
})

test('lines that the checkpoint does not know are cut off, also where it is of the same step', async () => {
  const out = fresh()
  const stop = new AbortController()
  await run({ out, epochs: 1, signal: stop.signal }, (event) => {
    if (event.kind === 'step' && event.step === 3) stop.abort()
    return false
  })
  const checkpoint = readFileSync(join(out, 'checkpoint.safetensors'))
  await run({ out, resume: true })
  const complete = results(out)
  // What is left where the epoch's line is written and its checkpoint is not, and a line half written.
  writeFileSync(join(out, 'checkpoint.safetensors'), checkpoint)
  appendFileSync(join(out, 'metrics.jsonl'), '{"step":3,"epo')
  await run({ out, resume: true })
  assert.equal(results(out), complete)
})

test('metrics.jsonl that lost lines is continued, which a note says', async () => {
  const out = await left()
  const before = readFileSync(join(out, 'metrics.jsonl'), 'utf8').split('\n')
  truncateSync(join(out, 'metrics.jsonl'), before[0]!.length + 5)
  const [start] = await run({ out, resume: true })
  assert.ok(start?.kind === 'start' && start.notes.some((note) => /metrics\.jsonl is not as it was/.test(note)))
  const after = readFileSync(join(out, 'metrics.jsonl'), 'utf8').split('\n')
  const all = readFileSync(join(whole, 'metrics.jsonl'), 'utf8').split('\n')
  assert.equal(after, [all[0], ...all.slice(3)])
})

test('a run that an earlier version left, with neither id nor checksum, is continued', async () => {
  const out = fresh()
  cpSync(await left(), out, { recursive: true })
  const { id: _, ...run1 } = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
  writeFileSync(join(out, 'run.json'), JSON.stringify(run1))
  const path = join(out, 'checkpoint.safetensors')
  const { bytes, header } = withoutNotes(readFileSync(path))
  assert.equal(Object.keys(header), ['format', 'state'])
  writeFileSync(path, bytes)
  await run({ out, resume: true })
  const { 'checkpoint.safetensors': _c, ...mine } = results(out)
  const { 'checkpoint.safetensors': _w, ...theirs } = results(whole)
  assert.equal(mine, theirs)
})

/** A checkpoint as it was written before it carried anything but the state. */
function withoutNotes(bytes: Buffer): { bytes: Buffer; header: object } {
  const end = 8 + Number(bytes.readBigUInt64LE(0))
  const all = JSON.parse(bytes.toString('utf8', 8, end))
  const { format, state } = all.__metadata__
  all.__metadata__ = { format, state }
  const text = Buffer.from(JSON.stringify(all))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return { bytes: Buffer.concat([length, text, bytes.subarray(end)]), header: all.__metadata__ }
}

test.run()
