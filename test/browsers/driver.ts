// What the tests of other browsers ask of one, and what they share: a page with the program in it, files, and what Node says.

/** A browser with one page. */
export interface Browser {
  readonly name: string
  readonly version: string
  open(url: string): Promise<void>
  reload(): Promise<void>
  /** Runs a function in the page; it sees nothing but its argument, and both cross as JSON. */
  run<A, R>(body: (argument: A) => R | Promise<R>, argument: A): Promise<R>
  /** Clicks on what an XPath finds first, as a mouse would. */
  click(xpath: string): Promise<void>
  /** Where its downloads come to; undefined where its driver lets it save none. */
  readonly downloads: string | undefined
  /** What the page threw or logged as an error so far, where the driver can tell. */
  readonly errors: readonly string[]
  close(): Promise<void>
}

/** Resolves to what `look` finds in the page, once that is neither undefined, null nor false; throws with what the page says. */
export async function until<A, R>(
  browser: Browser,
  look: (argument: A) => R | Promise<R>,
  argument: A,
  seconds = 120,
): Promise<Exclude<R, false | null | undefined>> {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const found = await browser.run(look, argument)
    if (found !== undefined && found !== null && found !== false) return found as Exclude<R, false | null | undefined>
    if (Date.now() > end) {
      const said = await browser.run(() => document.body.innerText, null)
      throw new Error(`${look} was not true within ${seconds} s; the page said:\n${said}\n${browser.errors.join('\n')}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Waits until the page shows a text. */
export const shows = (browser: Browser, text: string, seconds?: number): Promise<boolean> =>
  until(browser, (part: string) => document.body.innerText.includes(part), text, seconds)
