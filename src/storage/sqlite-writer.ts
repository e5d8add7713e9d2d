/**
 * SQLite's writer thread: holds the one connection that writes, so that a disk flush never stops the event loop.
 * Runs as a worker; started by `sqlite.ts`.
 */
import { parentPort, workerData } from 'node:worker_threads';
import Sqlite from 'better-sqlite3';
import type { WireError, WireStatement, WriterOptions, WriterReply, WriterRequest } from './sqlite-protocol.ts';

const options = workerData as WriterOptions;
const port = parentPort!;
const db = new Sqlite(options.path);
// Before all else: a file that is there already stays as it was made.
// Only a new file can be given it, and saying it again writes.
if (db.pragma('page_count', { simple: true }) === 0) db.pragma('auto_vacuum = incremental');
db.pragma('journal_mode = WAL');
db.pragma(`synchronous = ${options.synchronous}`);
db.pragma('foreign_keys = ON');
db.pragma('temp_store = MEMORY');
db.pragma('cache_size = -8000');
db.pragma('journal_size_limit = 4194304');
db.pragma('busy_timeout = 10000');

const texts: string[] = [];
const prepared: Sqlite.Statement[] = [];

function statementOf([textNumber]: WireStatement): Sqlite.Statement {
  let statement = prepared[textNumber];
  if (statement === undefined) {
    statement = db.prepare(texts[textNumber]!);
    prepared[textNumber] = statement;
  }
  return statement;
}

const begin = db.prepare('begin immediate');
const commit = db.prepare('commit');
const rollback = db.prepare('rollback');

function wireError(error: unknown): WireError {
  const { message, code } = error as { message: string; code?: string };
  return { message, code: code ?? '' };
}

function commitTogether(batches: readonly (readonly WireStatement[])[]): void {
  begin.run();
  try {
    for (const batch of batches) {
      for (const statement of batch) statementOf(statement).run(...statement[1]);
    }
    commit.run();
  } catch (error) {
    if (db.inTransaction) rollback.run();
    throw error;
  }
}

function commitGroup(batches: readonly (readonly WireStatement[])[]): WriterReply {
  try {
    commitTogether(batches);
    return { kind: 'group', errors: null };
  } catch (error) {
    if (batches.length === 1) return { kind: 'group', errors: [wireError(error)] };
    // One bad batch must not take its neighbors with it: each gets a transaction of its own. Batches that build on
    // a failed one are refused by the main thread, which knows the chains; so stop at the first failure.
    const errors: (WireError | null)[] = [];
    for (const batch of batches) {
      try {
        commitTogether([batch]);
        errors.push(null);
      } catch (alone) {
        errors.push(wireError(alone));
        break;
      }
    }
    return { kind: 'group', errors };
  }
}

function answer(request: WriterRequest): WriterReply | null {
  switch (request.kind) {
    case 'text':
      texts[request.textNumber] = request.text;
      return null;
    case 'group':
      return commitGroup(request.batches);
    case 'begin':
      begin.run();
      return { kind: 'done', value: null };
    case 'all':
      return { kind: 'done', value: statementOf(request.statement).all(...request.statement[1]) };
    case 'run': {
      const statement = statementOf(request.statement);
      // A statement with a returning clause gives rows even where only the number of changes is asked.
      if (statement.reader) return { kind: 'done', value: statement.all(...request.statement[1]).length };
      return { kind: 'done', value: statement.run(...request.statement[1]).changes };
    }
    case 'end':
      if (request.commit) commit.run();
      else if (db.inTransaction) rollback.run();
      return { kind: 'done', value: null };
    case 'script':
      db.exec(request.text);
      return { kind: 'done', value: null };
    case 'close':
      db.pragma('wal_checkpoint(TRUNCATE)');
      db.close();
      return { kind: 'done', value: null };
  }
}

port.on('message', (request: WriterRequest) => {
  let reply: WriterReply | null;
  try {
    reply = answer(request);
  } catch (error) {
    const ends = request.kind === 'end' || request.kind === 'script';
    if (ends && db.inTransaction) rollback.run();
    reply = { kind: 'failed', error: wireError(error) };
  }
  if (reply !== null) port.postMessage(reply);
  if (request.kind === 'close') port.close();
});
