/** How much disk a server's data take, counted after what is still in a journal has reached its place. */
import Database from 'better-sqlite3';
import pg from 'pg';
import { sqliteFilesIn } from '../support/sqlite-files.ts';

function sqliteBytes(path: string): number {
  const db = new Database(path, { timeout: 10_000 });
  try {
    db.pragma('wal_checkpoint(truncate)');
    const pages =
      Number(db.pragma('page_count', { simple: true })) - Number(db.pragma('freelist_count', { simple: true }));
    return pages * Number(db.pragma('page_size', { simple: true }));
  } finally {
    db.close();
  }
}

/**
 * Bytes of all SQLite databases directly in a directory, without their free pages, after a checkpoint. Logs and media
 * do not count.
 */
export function sqliteDirectoryBytes(dir: string): number {
  return sqliteFilesIn(dir).reduce((sum, path) => sum + sqliteBytes(path), 0);
}

/** Bytes of a PostgreSQL database after a checkpoint; the write-ahead log, which is recycled, does not count. */
export async function postgresBytes(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('checkpoint');
    const { rows } = await client.query<{ size: string }>('select pg_database_size(current_database()) as size');
    return Number(rows[0]?.size);
  } finally {
    await client.end();
  }
}
