/**
 * Events in the order in which the log tells of them, for its readers. By number: primary key. An event whose number is not
 * its position (history that was fetched later, what was an outlier before) is told of by a row of late_events.
 */
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type LoggedEvent = {
  readonly eventNo: number;
  readonly roomNo: number;
  readonly position: number;
  readonly isRedacted: boolean;
  readonly json: string;
};

/** Tells at a position of events that got their place in the same transaction. By position: primary key. */
export function insertLateEvents(position: number, eventNos: readonly number[]): Statement {
  return sql`insert into late_events (position, event_nos) values (${position}, ${JSON.stringify(eventNos)})`;
}

type Columns = {
  event_no: number;
  room_no: number;
  position: number;
  redacted_by_no: number | null;
  json: string;
};

/**
 * Events that may be shown, of up to four types, with `after < position in the log <= upTo`. Looks at no more than
 * `limit` events of all types; `last` is how far that led. Some events of other types may be among them.
 */
export async function listLoggedEvents(
  db: Reader,
  types: readonly [string, string?, string?, string?],
  after: number,
  upTo: number,
  limit: number,
): Promise<{ events: LoggedEvent[]; last: number }> {
  const end = await db.first<{ event_no: number }>(
    sql`select event_no from events where event_no > ${after} and event_no <= ${upTo}
        order by event_no limit 1 offset ${limit - 1}`,
  );
  const last = end?.event_no ?? upTo;
  // Types have no column of their own: the pattern spares the other events their way out of the database.
  const [one, two = one, three = one, four = one] = types.map((type) => `%"type":"${type}"%`);
  const rows = await db.all<Columns>(
    sql`select event_no, room_no, position, redacted_by_no, json from events
        where event_no > ${after} and event_no <= ${last} and position = event_no and standing = 0
          and (json like ${one!} or json like ${two!} or json like ${three!} or json like ${four!})
        order by event_no`,
  );
  const late = await db.all<{ event_nos: string }>(
    sql`select event_nos from late_events where position > ${after} and position <= ${last}`,
  );
  // What is in there was written as a list of numbers.
  const lateNos = late.flatMap((row) => JSON.parse(row.event_nos) as number[]);
  if (lateNos.length > 0) {
    const lateRows = await db.all<Columns>(
      sql`select event_no, room_no, position, redacted_by_no, json from events
          where event_no ${anyOf(lateNos)} and position is not null and standing = 0
            and (json like ${one!} or json like ${two!} or json like ${three!} or json like ${four!})`,
    );
    rows.push(...lateRows);
  }
  return { events: rows.map(toEvent), last };
}

const toEvent = (row: Columns): LoggedEvent => ({
  eventNo: row.event_no,
  roomNo: row.room_no,
  position: row.position,
  isRedacted: row.redacted_by_no !== null,
  json: row.json,
});
