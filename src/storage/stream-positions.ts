/** How far positions are given out. Served by the primary key. */
import type { Database } from './database.ts';
import { sql } from './sql.ts';

/** How far a writer of the log has reserved positions, forwards and backwards. */
export async function readReservation(
  db: Database,
  writer: string,
): Promise<{ reserved: number; reservedBackwards: number }> {
  const row = await db.first<{ reserved: number; reserved_backwards: number }>(
    sql`select reserved, reserved_backwards from stream_reservations where writer = ${writer}`,
  );
  return { reserved: row?.reserved ?? 0, reservedBackwards: row?.reserved_backwards ?? 0 };
}

/** Reserves positions up to a bound in both directions; on disk when it resolves. */
export async function reserve(
  db: Database,
  writer: string,
  reserved: number,
  reservedBackwards: number,
): Promise<void> {
  await db.commit([
    sql`insert into stream_reservations (writer, reserved, reserved_backwards)
        values (${writer}, ${reserved}, ${reservedBackwards})
        on conflict (writer) do update set reserved = excluded.reserved, reserved_backwards = excluded.reserved_backwards`,
  ]);
}
