/** Account data, push rules and filters of users. News of a user are served by account_data_by_position. */
import type { UserId } from '../core/ids.ts';
import type { Reader } from './database.ts';
import { type Statement, sql } from './sql.ts';

/** `roomNo` is 0 for data of the account itself. `content` is JSON text. */
export type AccountDataRow = {
  readonly userId: UserId;
  readonly roomNo: number;
  readonly type: string;
  readonly content: string;
  readonly position: number;
};

type Columns = { user_id: string; room_no: number; type: string; content: string; position: number };

const toRow = (columns: Columns): AccountDataRow => ({
  userId: columns.user_id as UserId,
  roomNo: columns.room_no,
  type: columns.type,
  content: columns.content,
  position: columns.position,
});

export function upsertAccountData(row: AccountDataRow): Statement {
  return sql`insert into account_data (user_id, room_no, type, content, position)
    values (${row.userId}, ${row.roomNo}, ${row.type}, ${row.content}, ${row.position})
    on conflict (user_id, room_no, type) do update set content = excluded.content, position = excluded.position`;
}

export async function findAccountData(
  db: Reader,
  userId: UserId,
  roomNo: number,
  type: string,
): Promise<AccountDataRow | undefined> {
  const row = await db.first<Columns>(
    sql`select * from account_data where user_id = ${userId} and room_no = ${roomNo} and type = ${type}`,
  );
  return row && toRow(row);
}

/** How many types of data a user has for the account (0) or one room. */
export async function countAccountData(db: Reader, userId: UserId, roomNo: number): Promise<number> {
  const row = await db.first<{ types: number }>(
    sql`select count(*) as types from account_data where user_id = ${userId} and room_no = ${roomNo}`,
  );
  return row?.types ?? 0;
}

/** Account data of a user with `after < position <= upTo`, of the account and of all rooms. */
export async function listAccountData(
  db: Reader,
  userId: UserId,
  after: number,
  upTo: number,
): Promise<AccountDataRow[]> {
  const rows = await db.all<Columns>(
    sql`select * from account_data where user_id = ${userId} and position > ${after} and position <= ${upTo}`,
  );
  return rows.map(toRow);
}

/** A user's own push rules and changes to the predefined ones, as JSON text; undefined where there are none. */
export async function findPushRules(
  db: Reader,
  userId: UserId,
): Promise<{ rules: string; position: number } | undefined> {
  return db.first<{ rules: string; position: number }>(
    sql`select rules, position from push_rules where user_id = ${userId}`,
  );
}

export function upsertPushRules(userId: UserId, rules: string, position: number): Statement {
  return sql`insert into push_rules (user_id, rules, position) values (${userId}, ${rules}, ${position})
    on conflict (user_id) do update set rules = excluded.rules, position = excluded.position`;
}

/** A stored filter as JSON text. */
export async function findFilter(db: Reader, userId: UserId, filterId: number): Promise<string | undefined> {
  const row = await db.first<{ filter: string }>(
    sql`select filter from filters where user_id = ${userId} and filter_id = ${filterId}`,
  );
  return row?.filter;
}

/** All filters of a user: the same one is stored once. */
export async function listFilters(db: Reader, userId: UserId): Promise<{ filterId: number; filter: string }[]> {
  const rows = await db.all<{ filter_id: number; filter: string }>(
    sql`select filter_id, filter from filters where user_id = ${userId} order by filter_id`,
  );
  return rows.map((row) => ({ filterId: row.filter_id, filter: row.filter }));
}

export function insertFilter(userId: UserId, filterId: number, filter: string): Statement {
  return sql`insert into filters (user_id, filter_id, filter) values (${userId}, ${filterId}, ${filter})`;
}
