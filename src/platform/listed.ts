// Names in a sentence.

/** The first names, and how many more there are of `count` in all; words of over 100 letters are cut. */
export function listed(names: readonly string[], most = 5, count = names.length): string {
  const first = names.slice(0, most).map((name) => name.replace(/\S{101,}/g, (word) => `${word.slice(0, 97)}...`))
  const more = count - first.length
  return `${first.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
