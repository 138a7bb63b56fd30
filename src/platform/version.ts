// The package's own version; the build replaces the name by the text from package.json.
declare const VITUNE_VERSION: string

export const version: string = typeof VITUNE_VERSION === 'string' ? VITUNE_VERSION : '0.0.0'
