// When two names are one: they show the same text, however its accents are stored.

/** The same for names that show the same text, however its accents are stored. */
export const sameText = (name: string): string => name.normalize('NFC')
