/** What of presence is on disk: status messages, and who is there, so that a start knows whom others take for present. */
import type { UserId } from '../core/ids.ts';
import type { Database } from '../storage/database.ts';
import { findPresence, listPresent, type PresenceRow, upsertPresence } from '../storage/presence.ts';
import { PresentUser } from './presence-board.ts';

const PRESENT_MAX = 50_000;

export class PresenceStore {
  readonly #db: Database;
  readonly #unsaved = new Set<PresentUser>();

  constructor(deps: { db: Database }) {
    this.#db = deps.db;
  }

  /** A user as they were last written, with no device: offline. One who is not known is a new one. */
  async read(userId: UserId): Promise<PresentUser> {
    const row = await findPresence(this.#db, userId);
    return row === undefined ? new PresentUser(userId) : userOf(row);
  }

  /** Those who were there when the server stopped. */
  async listPresent(): Promise<PresentUser[]> {
    return (await listPresent(this.#db, PRESENT_MAX)).map(userOf);
  }

  /** Writes a user down at once. */
  async save(user: PresentUser): Promise<void> {
    this.#unsaved.delete(user);
    await this.#db.commit([upsertPresence(rowOf(user))]);
  }

  /** Notes that a user is to be written down with the next `flush`. */
  note(user: PresentUser): void {
    this.#unsaved.add(user);
  }

  async flush(): Promise<void> {
    const rows = [...this.#unsaved].map(rowOf);
    this.#unsaved.clear();
    if (rows.length > 0) await this.#db.commit(rows.map(upsertPresence));
  }
}

function userOf(row: PresenceRow): PresentUser {
  const user = new PresentUser(row.userId);
  user.statusMsg = row.statusMsg;
  user.lastActiveMs = row.lastActiveMs;
  return user;
}

const rowOf = (user: PresentUser): PresenceRow => ({
  userId: user.userId,
  statusMsg: user.statusMsg,
  lastActiveMs: user.lastActiveMs,
  isPresent: user.isHere,
});
