/** Which files of a directory are SQLite databases, whatever they are called. */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

const HEADER = 'SQLite format 3\0';

function isSqlite(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(HEADER.length);
    readSync(file, head);
    return head.toString('latin1') === HEADER;
  } finally {
    closeSync(file);
  }
}

/** The paths of all SQLite databases directly in a directory. */
export function sqliteFilesIn(dir: string): string[] {
  return (
    readdirSync(dir, { withFileTypes: true })
      // A lock file only says that a process is at work on the database beside it.
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.lock'))
      .map((entry) => join(dir, entry.name))
      .filter(isSqlite)
  );
}
