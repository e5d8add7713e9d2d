/**
 * What a server that lags is told next. One that was only slow gets every event, in order. After an outage in which much
 * happened it gets the last event of each room, from which it finds its own way to those between.
 */
import { PDUS_MAX } from '../../contracts/federation/transactions.ts';
import type { Database } from '../../storage/database.ts';
import { listTipsOfRooms } from '../../storage/events.ts';
import { listLastOutgoingTo, listOutgoingTo, type OutgoingRow } from '../../storage/outgoing.ts';
import { listRoomsOfServer } from '../../storage/room-servers.ts';
import type { StreamPosition } from '../../stream/stream.ts';
import type { Destination } from './destination.ts';

/** Events that belong together: with them, and all that was told before, a server has everything up to `position`. */
export type Portion = { readonly position: StreamPosition; readonly eventNos: readonly number[] };

export type Owed = {
  readonly portions: readonly Portion[];
  /** Whether these are all events up to the last one, and not the last ones of rooms. */
  readonly isGapless: boolean;
  /** Whether nothing else is owed. */
  readonly isAll: boolean;
};

/** A server that is slow, but was never gone, is told of this many events before it is told of the last ones only. */
const SLOW_MAX = 1000;
/** How many forward extremities of one room are told of. */
const TIPS_MAX = 10;

/** Reads what a server is owed of what the log holds up to a position. */
export async function readOwed(db: Database, destination: Destination, upTo: StreamPosition): Promise<Owed> {
  const { name, position: after, triedPosition } = destination;
  if (triedPosition !== null) {
    // The same once more, under the same ID: it may have got it.
    const again = await listOutgoingTo(db, name, { after, upTo: triedPosition }, { limit: PDUS_MAX });
    if (again.length > 0) return { portions: again.map(toPortion), isGapless: true, isAll: false };
  }
  const range = { after, upTo };
  const next = await listOutgoingTo(db, name, range, { limit: PDUS_MAX + 1 });
  if (next.length <= PDUS_MAX) return { portions: next.map(toPortion), isGapless: true, isAll: true };
  const isFar =
    destination.hadOutage || (await listOutgoingTo(db, name, range, { limit: 1, offset: SLOW_MAX })).length > 0;
  if (!isFar) return { portions: next.slice(0, PDUS_MAX).map(toPortion), isGapless: true, isAll: false };
  return { portions: await lastOfRooms(db, destination, range), isGapless: false, isAll: false };
}

const toPortion = ({ position, eventNo }: OutgoingRow): Portion => ({ position, eventNos: [eventNo] });

/**
 * The last event of each room, rooms in the order of these. Where others have spoken since, the room's forward extremities
 * in its place: the server may not have heard of those either, and who sent them may be gone.
 */
async function lastOfRooms(
  db: Database,
  { name, position: after }: Destination,
  range: { readonly after: StreamPosition; readonly upTo: StreamPosition },
): Promise<Portion[]> {
  const last = await listLastOutgoingTo(db, name, range, PDUS_MAX);
  const roomNos = last.map(({ roomNo }) => roomNo);
  const joinedAt = await listRoomsOfServer(db, name, roomNos);
  const tips = Map.groupBy(await listTipsOfRooms(db, roomNos), ({ roomNo }) => roomNo);
  return last.map((row) => {
    const fromPosition = joinedAt.get(row.roomNo);
    const ofRoom = tips.get(row.roomNo) ?? [];
    if (fromPosition === undefined || ofRoom.some(({ eventNo }) => eventNo === row.eventNo)) return toPortion(row);
    const counting = ofRoom.filter(({ position }) => position > after && position > fromPosition).slice(0, TIPS_MAX);
    if (counting.length === 0) return toPortion(row);
    return { position: row.position, eventNos: counting.map(({ eventNo }) => eventNo) };
  });
}
