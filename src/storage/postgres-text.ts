/**
 * Text as PostgreSQL can hold it. It has no place for the character NUL, which Matrix allows in event types, state keys
 * and what clients call their transactions; SQLite has. So NUL is written as two other characters, and read back.
 */

/** A character of private use, which hardly anybody sends; where somebody does, it is written as two as well. */
const MARK = '\ue000';

/** What stands for a text in the database: itself, but for NUL and the mark. */
export function toPostgresText(text: string): string {
  if (!text.includes('\0') && !text.includes(MARK)) return text;
  return text.replaceAll(MARK, `${MARK}1`).replaceAll('\0', `${MARK}0`);
}

/** The text that stands in the database. */
export function fromPostgresText(stored: string): string {
  if (!stored.includes(MARK)) return stored;
  return stored.replaceAll(`${MARK}0`, '\0').replaceAll(`${MARK}1`, MARK);
}
