/**
 * The index of messages: which tokens are in which event. SQLite keeps it in a full-text table, served newest first by its
 * posting lists; PostgreSQL in an array of numbers, by search_entries_by_token or, for what is nearly everywhere, from
 * the newest entry down its primary key. docs/decisions/0008-search-index.md tells why.
 */
import { tokenNumber } from '../core/search-text.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type SearchEntry = {
  readonly eventNo: number;
  readonly roomNo: number;
  readonly position: number;
  readonly sender: string;
  /** The key of the content that is indexed, where it is not the body. */
  readonly key: 'content.name' | 'content.topic' | null;
  readonly tokens: ReadonlySet<number>;
};

/** Entries are in the log's order: history that was fetched later has positions below 0. */
const entryNoOf = (event: { readonly eventNo: number; readonly position: number | null }): number =>
  event.position !== null && event.position < 0 ? event.position : event.eventNo;

// No word makes these tokens: words are cut into pieces of three characters at most.
const roomToken = (roomNo: number): number => tokenNumber(`room ${roomNo}`);
const senderToken = (sender: string): number => tokenNumber(`from ${sender}`);
const keyToken = (key: string): number => tokenNumber(`key ${key}`);

/** How SQLite's tokenizer gets a number. */
const word = (token: number): string => (token >>> 0).toString(36);

/** Stores entries; one that is there already stays as it is. */
export function insertSearchEntries(
  { dialect }: Pick<Reader, 'dialect'>,
  entries: readonly SearchEntry[],
): Statement[] {
  if (entries.length === 0) return [];
  if (dialect === 'sqlite') {
    return entries.map((entry) => {
      const tokens = Array.from(allTokens(entry), word).join(' ');
      return sql`insert or replace into search_entries (rowid, tokens) values (${entryNoOf(entry)}, ${tokens})`;
    });
  }
  // One statement for all: each costs the driver more than the rest of the indexing.
  const entryNos = arrayText(entries.map(entryNoOf));
  const roomNos = arrayText(entries.map((entry) => entry.roomNo));
  const tokens = arrayText(entries.map((entry) => `"${arrayText(allTokens(entry))}"`));
  return [
    sql`insert into search_entries (entry_no, room_no, tokens)
        select entry_no, room_no, tokens::int4[]
        from unnest(${entryNos}::int8[], ${roomNos}::int8[], ${tokens}::text[]) as entries (entry_no, room_no, tokens)
        on conflict do nothing`,
  ];
}

function allTokens({ tokens, roomNo, sender, key }: SearchEntry): Set<number> {
  const all = new Set(tokens);
  all.add(roomToken(roomNo)).add(senderToken(sender));
  if (key !== null) all.add(keyToken(key));
  return all;
}

const arrayText = (values: Iterable<number | string>): string => `{${[...values].join(',')}}`;

/** Takes events out of the index: they were redacted, or are deleted themselves. */
export function deleteSearchEntries(
  { dialect }: Pick<Reader, 'dialect'>,
  events: readonly { readonly eventNo: number; readonly position: number | null }[],
): Statement {
  const entryNos = events.map(entryNoOf);
  return dialect === 'sqlite'
    ? sql`delete from search_entries where rowid ${anyOf(entryNos)}`
    : sql`delete from search_entries where entry_no ${anyOf(entryNos)}`;
}

export type EntriesAsk = {
  /** All must be there; at least one. */
  readonly tokens: readonly number[];
  readonly roomNos: readonly number[];
  /** Written by one of them; null for anybody. */
  readonly senders: readonly string[] | null;
  /** Whether only names and topics are wanted. */
  readonly withoutBodies: boolean;
  /** Entries older than this one. */
  readonly beforeNo: number;
  readonly limit: number;
};

/**
 * Up to how many rooms are looked up in SQLite's posting lists; beyond that, looking at the room of each entry found
 * costs less (20 rooms: 0.5 instead of 2.9 ms).
 */
const LISTED_ROOMS_MAX = 8;
/** As long as a list of senders may be to be looked up in the index. */
const LISTED_SENDERS_MAX = 8;
/** How many entries of other rooms one query walks over at most. */
const WALK_MAX = 20_000;

/**
 * Entries that hold all tokens, the newest first. Where there may be more it says before which one they are: it never
 * looks at more than a bounded number (threat C8).
 */
export async function listSearchEntries(
  db: Reader,
  ask: EntriesAsk,
): Promise<{ entryNos: number[]; moreBeforeNo: number | null }> {
  const found = db.dialect === 'sqlite' ? await listInSqlite(db, ask) : await listInPostgres(db, ask);
  if (found.length === ask.limit) return { entryNos: found, moreBeforeNo: found.at(-1)! };
  return { entryNos: found, moreBeforeNo: db.dialect === 'sqlite' ? await walkEnd(db, ask) : null };
}

function isListed({ roomNos }: EntriesAsk): boolean {
  return roomNos.length <= LISTED_ROOMS_MAX;
}

/** What SQLite's posting lists are asked for. */
function matchText(ask: EntriesAsk): string {
  const parts = ask.tokens.map(word);
  const oneOf = (tokens: readonly number[]): void => void parts.push(`(${tokens.map(word).join(' OR ')})`);
  if (isListed(ask)) oneOf(ask.roomNos.map(roomToken));
  if (ask.senders !== null && ask.senders.length <= LISTED_SENDERS_MAX) oneOf(ask.senders.map(senderToken));
  if (ask.withoutBodies) oneOf([keyToken('content.name'), keyToken('content.topic')]);
  return parts.join(' AND ');
}

async function listInSqlite(db: Reader, ask: EntriesAsk): Promise<number[]> {
  const { beforeNo, limit } = ask;
  const match = matchText(ask);
  const rows = isListed(ask)
    ? await db.all<{ entry_no: number }>(
        sql`select rowid as entry_no from search_entries where search_entries match ${match} and rowid < ${beforeNo}
            order by rowid desc limit ${limit}`,
      )
    : await db.all<{ entry_no: number }>(
        sql`select entry_no from (
              select rowid as entry_no from search_entries where search_entries match ${match} and rowid < ${beforeNo}
              order by rowid desc limit ${WALK_MAX})
            where case when entry_no < 0 then (select room_no from events where position = entry_no and position < 0)
                  else (select room_no from events where event_no = entry_no) end ${anyOf(ask.roomNos)}
            order by entry_no desc limit ${limit}`,
      );
  return rows.map((row) => row.entry_no);
}

/** Where a walk over entries of other rooms was given up; null where all were looked at. */
async function walkEnd(db: Reader, ask: EntriesAsk): Promise<number | null> {
  if (isListed(ask)) return null;
  const row = await db.first<{ entry_no: number }>(
    sql`select rowid as entry_no from search_entries where search_entries match ${matchText(ask)}
          and rowid < ${ask.beforeNo} order by rowid desc limit 1 offset ${WALK_MAX - 1}`,
  );
  return row?.entry_no ?? null;
}

async function listInPostgres(db: Reader, ask: EntriesAsk): Promise<number[]> {
  const { beforeNo, limit, roomNos, senders, withoutBodies } = ask;
  const [onlyRoom] = roomNos.length === 1 ? roomNos : [];
  const tokens = onlyRoom === undefined ? ask.tokens : [...ask.tokens, roomToken(onlyRoom)];
  const wanted = arrayText(tokens);
  const keys = arrayText([keyToken('content.name'), keyToken('content.topic')]);
  const isBySender = senders !== null && senders.length <= LISTED_SENDERS_MAX;
  const from = isBySender ? arrayText(senders.map(senderToken)) : '{}';
  const rows = await db.all<{ entry_no: number }>(
    sql`select entry_no from search_entries
        where tokens @> ${wanted}::int4[] and room_no ${anyOf(roomNos)} and entry_no < ${beforeNo}
          and (not ${isBySender}::boolean or tokens && ${from}::int4[])
          and (not ${withoutBodies}::boolean or tokens && ${keys}::int4[])
        order by entry_no desc limit ${limit}`,
  );
  return rows.map((row) => row.entry_no);
}
