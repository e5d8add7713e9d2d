/**
 * EDUs that must reach other servers, also after an outage: messages to devices, changes of devices and keys. Each is
 * stored once, with a row for each server that it is for. For one server, in order: primary key of the targets; whether
 * one is for anybody still: outgoing_edu_targets_by_edu; what is outdated: outgoing_edu_targets_by_key.
 */
import type { ServerName } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { anyOf, type Statement, sql } from './sql.ts';

export type OutgoingEdu = { readonly eduNo: number; readonly edu: string };

/** Stores an EDU, as JSON text. Numbers grow. */
export function insertOutgoingEdu({ eduNo, edu }: OutgoingEdu): Statement {
  return sql`insert into outgoing_edus (edu_no, edu) values (${eduNo}, ${edu})`;
}

export function insertOutgoingEduTarget(destination: ServerName, eduNo: number, replaceKey: string | null): Statement {
  return sql`insert into outgoing_edu_targets (destination, edu_no, replace_key)
    values (${destination}, ${eduNo}, ${replaceKey})`;
}

/** These servers need not be told any more what was stored under a key. */
export function deleteReplacedEdus(destinations: readonly ServerName[], replaceKey: string): Statement {
  return sql`delete from outgoing_edu_targets where replace_key = ${replaceKey} and destination ${anyOf(destinations)}`;
}

/** What waits for a server, in order. */
export async function listOutgoingEdus(db: Reader, destination: ServerName, limit: number): Promise<OutgoingEdu[]> {
  const rows = await db.all<{ edu_no: number; edu: string }>(
    sql`select outgoing_edus.edu_no, outgoing_edus.edu from outgoing_edu_targets
        join outgoing_edus on outgoing_edus.edu_no = outgoing_edu_targets.edu_no
        where destination = ${destination} order by outgoing_edu_targets.edu_no limit ${limit}`,
  );
  return rows.map((row) => ({ eduNo: row.edu_no, edu: row.edu }));
}

/** A server has what was sent: of numbers in order, the first and the last. */
export function deleteOutgoingEdus(destination: ServerName, eduNos: readonly number[]): Statement[] {
  return [
    sql`delete from outgoing_edu_targets where destination = ${destination} and edu_no ${anyOf(eduNos)}`,
    sql`delete from outgoing_edus where edu_no ${anyOf(eduNos)} and not exists (
      select 1 from outgoing_edu_targets where outgoing_edu_targets.edu_no = outgoing_edus.edu_no)`,
  ];
}

/** Servers that something waits for. */
export async function listEduDestinations(db: Reader): Promise<ServerName[]> {
  const rows = await db.all<{ destination: string }>(sql`select distinct destination from outgoing_edu_targets`);
  return rows.map(({ destination }) => destination as ServerName);
}

/** Of a server that is gone for long, the newest are not kept: the oldest so many stay. */
export function thinOutgoingEdus(destination: ServerName, kept: number): Statement {
  return sql`delete from outgoing_edu_targets where destination = ${destination} and edu_no > (
    select edu_no from outgoing_edu_targets where destination = ${destination} order by edu_no limit 1 offset ${kept})`;
}

/** Forgets EDUs that are for nobody any more. */
export function deleteOrphanedEdus(): Statement {
  return sql`delete from outgoing_edus where not exists (
    select 1 from outgoing_edu_targets where outgoing_edu_targets.edu_no = outgoing_edus.edu_no)`;
}
