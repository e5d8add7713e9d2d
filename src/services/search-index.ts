/** Keeps the index of messages: a reader of the log, behind the sends and in batches. */
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import { searchedText, tokensOf } from '../core/search-text.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { nextTurn } from '../kit/next-turn.ts';
import type { Database } from '../storage/database.ts';
import { findEventsById } from '../storage/events.ts';
import { findCursor, upsertCursor } from '../storage/log-cursors.ts';
import { type LoggedEvent, listLoggedEvents } from '../storage/log-events.ts';
import { deleteSearchEntries, insertSearchEntries, type SearchEntry } from '../storage/search.ts';
import { LogReader } from '../stream/log-reader.ts';
import type { Stream, StreamPosition } from '../stream/stream.ts';

const READER = 'search';
const BATCH = 100;
const TYPES = ['m.room.message', 'm.room.name', 'm.room.topic', 'm.room.redaction'] as const;
/** After how many characters of text others get their turn. */
const TURN_CHARS = 50_000;
/** How far a cursor goes on in memory alone, where there was nothing to write. */
const UNWRITTEN_MAX = 10_000;
/** How long a search waits for what was said before it. */
const WAIT_MS = 5000;

export type SearchIndexDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly log: Log;
};

export class SearchIndex {
  readonly #deps: SearchIndexDeps;
  readonly #reader: LogReader;
  #written: StreamPosition = 0;

  constructor(deps: SearchIndexDeps) {
    this.#deps = deps;
    this.#reader = new LogReader({
      stream: deps.stream,
      clock: deps.clock,
      log: deps.log,
      concerns: (change) => change.kind === 'event',
      start: async () => {
        this.#written = await findCursor(deps.db, READER);
        return this.#written;
      },
      readOn: (after, upTo) => this.#readOn(after, upTo),
    });
  }

  /** Waits until all that is in the log now is indexed, or for some seconds: what is missing then is found later. */
  async upToDate(): Promise<void> {
    await this.#reader.reached(this.#deps.stream.current, WAIT_MS);
  }

  stop(): Promise<void> {
    return this.#reader.stop();
  }

  async #readOn(after: StreamPosition, upTo: StreamPosition): Promise<StreamPosition> {
    const { db } = this.#deps;
    const { events, last } = await listLoggedEvents(db, TYPES, after, upTo, BATCH);
    const entries: SearchEntry[] = [];
    const redacts: string[] = [];
    let chars = 0;
    for (const event of events) {
      // Only objects are stored as events.
      const json = JSON.parse(event.json) as JsonObject;
      redacts.push(...redactedBy(json));
      const entry = entryOf(event, json);
      if (entry === null) continue;
      entries.push(entry);
      chars += event.json.length;
      if (chars < TURN_CHARS) continue;
      chars = 0;
      await nextTurn();
    }
    const redacted = (await findEventsById(db, redacts)).filter((row) => row.redactedByNo !== null);
    const hasNews = entries.length > 0 || redacted.length > 0;
    if (hasNews || last - this.#written > UNWRITTEN_MAX) {
      const deletes = redacted.length === 0 ? [] : [deleteSearchEntries(db, redacted)];
      await db.commit([...insertSearchEntries(db, entries), ...deletes, upsertCursor(READER, last)]);
      this.#written = last;
    }
    return last;
  }
}

/** What the index keeps of an event; null where there is nothing to find in it. */
function entryOf({ eventNo, roomNo, position, isRedacted }: LoggedEvent, json: JsonObject): SearchEntry | null {
  const { type, state_key: stateKey, content, sender } = json;
  if (isRedacted || typeof type !== 'string' || typeof sender !== 'string' || !isJsonObject(content)) return null;
  const searched = searchedText({ type, stateKey: typeof stateKey === 'string' ? stateKey : null, content });
  if (searched === null) return null;
  const tokens = tokensOf(searched.text);
  if (tokens.size === 0) return null;
  const key = searched.key === 'content.body' ? null : searched.key;
  return { eventNo, roomNo, position, sender, key, tokens };
}

/** The event that a redaction asks to redact: room versions differ in where they name it. */
function redactedBy({ type, redacts, content }: JsonObject): string[] {
  if (type !== 'm.room.redaction') return [];
  const inContent = isJsonObject(content) ? content['redacts'] : undefined;
  return [redacts, inContent].filter((id) => typeof id === 'string');
}
