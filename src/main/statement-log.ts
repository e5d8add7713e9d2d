/** Writes every statement to the log, for whoever asks with `-vv`. Values stay out: tokens and messages are among them. */
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import type { Database, Reader } from '../storage/database.ts';
import type { Statement } from '../storage/sql.ts';

/** The same database, with a debug line a statement; the database itself where the log does not want them at start. */
export function logStatements(db: Database, log: Log, clock: Clock): Database {
  if (!log.isEnabled('debug')) return db;
  const oneLine = ({ template }: Statement): string => template.join('?').replaceAll(/\s+/g, ' ').trim();
  async function timed<T>(statements: readonly Statement[], work: () => Promise<T>): Promise<T> {
    const startedMs = clock.now();
    try {
      return await work();
    } finally {
      const tookMs = clock.now() - startedMs;
      for (const statement of statements) log.debug(oneLine(statement), { tookMs });
    }
  }
  const reading = (reader: Reader): Reader => ({
    dialect: reader.dialect,
    all: (statement) => timed([statement], () => reader.all(statement)),
    first: (statement) => timed([statement], () => reader.first(statement)),
  });
  return {
    ...reading(db),
    write: (work) =>
      db.write((tx) => work({ ...reading(tx), run: (statement) => timed([statement], () => tx.run(statement)) })),
    commit: (batch, chain) => timed(batch, () => db.commit(batch, chain)),
    reclaim: () => db.reclaim(),
    close: () => db.close(),
  };
}
