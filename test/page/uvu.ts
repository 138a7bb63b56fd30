// Stands in for uvu where a test file runs in a page (see ../long/suites-chromium.test.ts): keeps the tests in order, so that the
// test of the same name in Node can run each and tell what it threw.
type Body = () => unknown

const all: { name: string; body: Body }[] = []

export const test = Object.assign((name: string, body: Body) => void all.push({ name, body }), {
  // The file is loaded; its tests are run from outside.
  run: () => {},
})

/** What the test threw, or nothing. */
async function run(at: number): Promise<string | undefined> {
  try {
    await all[at]!.body()
    return undefined
  } catch (error) {
    return error instanceof Error ? `${error.message}\n${error.stack}` : String(error)
  }
}

Object.assign(globalThis, { suite: { names: () => all.map(({ name }) => name), run } })
