/**
 * Backups of room keys: clients encrypt the keys of encrypted rooms and leave them here, so that a new device of the same
 * user can read what was said before.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups
 */
import { invalidParam, MatrixError, notFound, tooLarge, userLimitExceeded } from '../core/errors.ts';
import { isWithinBytes, type RoomId, type UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { bulkInserts } from '../storage/bulk-insert.ts';
import { type Database, type Tx, UniqueViolation } from '../storage/database.ts';
import {
  type BackedUpSession,
  deleteBackedUpSessions,
  deleteKeyBackup,
  deleteKeyBackupsOfUser,
  deleteSessionsOfUser,
  findBackedUpSessions,
  findCurrentKeyBackup,
  findKeyBackup,
  insertKeyBackup,
  type KeyBackupRow,
  listBackedUpSessions,
  lockKeyBackup,
  measureKeyBackups,
  touchKeyBackup,
  updateKeyBackupAuth,
  upsertBackedUpSession,
} from '../storage/key-backups.ts';

export type { BackedUpSession, KeyBackupRow };

export type KeyBackupsDeps = {
  readonly db: Database;
  /** Where users can ask about limits. */
  readonly limitsInfoUri: string;
};

/** What a change of a backup leaves: a client that knows another etag has to read the backup anew. */
export type BackupSummary = { readonly etag: string; readonly count: number };

const VERSIONS_MAX = 1000;
/** In all backups of a user. */
const SESSIONS_MAX = 500_000;
const SESSION_BYTES_MAX = 65_536;
const SESSION_ID_BYTES_MAX = 255;
const AUTH_DATA_BYTES_MAX = 65_536;
const ALGORITHM_BYTES_MAX = 255;
/** Sessions that are read at a time: a backup is told as it is read, and never held whole. */
const PAGE = 500;
const ATTEMPTS_MAX = 3;

/**
 * Whether a key takes the place of the one that is there: verified before not verified, then who reads from an earlier
 * message on, then who came by fewer hands.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#backup-algorithm-mmegolm_backupv1curve25519-aes-sha2
 */
function replacesKey(
  next: Pick<BackedUpSession, 'isVerified' | 'firstMessageIndex' | 'forwardedCount'>,
  now: Pick<BackedUpSession, 'isVerified' | 'firstMessageIndex' | 'forwardedCount'>,
): boolean {
  if (next.isVerified !== now.isVerified) return next.isVerified;
  if (next.firstMessageIndex !== now.firstMessageIndex) return next.firstMessageIndex < now.firstMessageIndex;
  return next.forwardedCount < now.forwardedCount;
}

const noBackup = (): MatrixError => notFound('There is no such key backup.');
const summaryOf = ({ etag, sessions }: KeyBackupRow): BackupSummary => ({ etag: String(etag), count: sessions });
const placeOf = ({ roomId, sessionId }: { roomId: string; sessionId: string }): string => `${roomId}\0${sessionId}`;

export class KeyBackups {
  readonly #deps: KeyBackupsDeps;

  constructor(deps: KeyBackupsDeps) {
    this.#deps = deps;
  }

  /** Begins a new backup, which is the current one from now on; gives its version. Throws 400, 403 M_USER_LIMIT_EXCEEDED, 413. */
  async create(userId: UserId, algorithm: string, authData: JsonObject): Promise<string> {
    const { db, limitsInfoUri } = this.#deps;
    if (!isWithinBytes(algorithm, ALGORITHM_BYTES_MAX)) {
      throw invalidParam(`algorithm: must be at most ${ALGORITHM_BYTES_MAX} bytes.`);
    }
    const text = authText(authData);
    for (let attempt = 1; ; attempt++) {
      const version = (await measureKeyBackups(db, userId)).newest + 1;
      if (version > VERSIONS_MAX) {
        throw userLimitExceeded(`There are at most ${VERSIONS_MAX} key backups of an account.`, limitsInfoUri);
      }
      try {
        await db.commit([insertKeyBackup(userId, version, algorithm, text)]);
        return String(version);
      } catch (error) {
        // Another device of the user was quicker.
        if (!(error instanceof UniqueViolation) || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  }

  /** The current backup (null), or one by its version. Throws 404. */
  async get(userId: UserId, version: string | null): Promise<KeyBackupRow> {
    const { db } = this.#deps;
    if (version !== null) return this.#find(db, userId, version);
    const current = await findCurrentKeyBackup(db, userId);
    if (current === undefined) throw notFound('There is no key backup.');
    return current;
  }

  async #find(db: Pick<Database, 'first' | 'all' | 'dialect'>, userId: UserId, version: string): Promise<KeyBackupRow> {
    const number = /^[1-9]\d{0,8}$/.test(version) ? Number(version) : null;
    const backup = number === null ? undefined : await findKeyBackup(db, userId, number);
    if (backup === undefined) throw noBackup();
    return backup;
  }

  /** Puts other data of authentication into a backup. Throws 400 where the algorithm or the version would change, 404, 413. */
  async update(
    userId: UserId,
    version: string,
    change: { readonly algorithm: string; readonly authData: JsonObject; readonly version: string | null },
  ): Promise<void> {
    const backup = await this.#find(this.#deps.db, userId, version);
    if (change.version !== null && change.version !== version) {
      throw invalidParam('version: must be the one in the path.');
    }
    if (change.algorithm !== backup.algorithm) throw invalidParam('algorithm: cannot be changed in a backup.');
    await this.#deps.db.commit([updateKeyBackupAuth(userId, backup.version, authText(change.authData))]);
  }

  /** Deletes a backup and all in it. Throws 404. */
  async remove(userId: UserId, version: string): Promise<void> {
    const backup = await this.#find(this.#deps.db, userId, version);
    await this.#deps.db.commit([
      deleteKeyBackup(userId, backup.version),
      deleteBackedUpSessions(userId, backup.version, null, null),
    ]);
  }

  /** Deletes all that a closed account has backed up. */
  async forget(userId: UserId): Promise<void> {
    await this.#deps.db.commit([deleteKeyBackupsOfUser(userId), deleteSessionsOfUser(userId)]);
  }

  /**
   * Puts keys into the current backup, each where it is better than the one that is there.
   *
   * @throws MatrixError 403 M_WRONG_ROOM_KEYS_VERSION for a backup that is not the current one, 404, 413, 403 M_USER_LIMIT_EXCEEDED
   */
  async put(userId: UserId, version: string, sessions: readonly BackedUpSession[]): Promise<BackupSummary> {
    for (const { sessionId, sessionData } of sessions) {
      if (!isWithinBytes(sessionId, SESSION_ID_BYTES_MAX)) {
        throw invalidParam(`A session ID has at most ${SESSION_ID_BYTES_MAX} bytes.`);
      }
      if (!isWithinBytes(sessionData, SESSION_BYTES_MAX)) {
        throw tooLarge(`session_data: must be at most ${SESSION_BYTES_MAX} bytes.`);
      }
    }
    return this.#change(userId, version, async (tx, backup) => {
      const current = await findCurrentKeyBackup(tx, userId);
      if (current !== undefined && current.version !== backup.version) {
        const fields = { current_version: String(current.version) };
        throw new MatrixError(403, 'M_WRONG_ROOM_KEYS_VERSION', 'This is not the current key backup.', fields);
      }
      const ids = [...new Set(sessions.map(({ sessionId }) => sessionId))];
      const stored = await findBackedUpSessions(tx, userId, backup.version, ids);
      const there = new Map(stored.map((session) => [placeOf(session), session]));
      const better = sessions.filter((session) => {
        const now = there.get(placeOf(session));
        return now === undefined || replacesKey(session, now);
      });
      const added = better.filter((session) => !there.has(placeOf(session))).length;
      if (added > 0 && (await measureKeyBackups(tx, userId)).sessions + added > SESSIONS_MAX) {
        throw userLimitExceeded(`Backups hold at most ${SESSIONS_MAX} keys.`, this.#deps.limitsInfoUri);
      }
      const upserts = better.map((session) => upsertBackedUpSession(userId, backup.version, session));
      for (const statement of await bulkInserts(upserts, tx.dialect)) await tx.run(statement);
      return { changed: better.length, added };
    });
  }

  /** Takes keys out of a backup: all, those of a room, or one. Throws 404 for a backup that is not there. */
  delete(userId: UserId, version: string, roomId: RoomId | null, sessionId: string | null): Promise<BackupSummary> {
    return this.#change(userId, version, async (tx, backup) => {
      const deleted = await tx.run(deleteBackedUpSessions(userId, backup.version, roomId, sessionId));
      return { changed: deleted, added: -deleted };
    });
  }

  /** One change of the sessions after the other, so that their number stays true. */
  #change(
    userId: UserId,
    version: string,
    work: (tx: Tx, backup: KeyBackupRow) => Promise<{ changed: number; added: number }>,
  ): Promise<BackupSummary> {
    return this.#deps.db.write(async (tx) => {
      const { version: number } = await this.#find(tx, userId, version);
      if ((await tx.run(lockKeyBackup(userId, number))) === 0) throw noBackup();
      const { changed, added } = await work(tx, await this.#find(tx, userId, version));
      if (changed > 0) await tx.run(touchKeyBackup(userId, number, added));
      return summaryOf(await this.#find(tx, userId, version));
    });
  }

  /** One key. Throws 404. */
  async session(userId: UserId, version: string, roomId: RoomId, sessionId: string): Promise<BackedUpSession> {
    const { db } = this.#deps;
    const backup = await this.#find(db, userId, version);
    const found = await findBackedUpSessions(db, userId, backup.version, [sessionId]);
    const session = found.find((each) => each.roomId === roomId);
    if (session === undefined) throw notFound('There is no such key in the backup.');
    return session;
  }

  /**
   * The keys of all rooms (null) or of one, some at a time, in the order of rooms. Throws 404 for a backup that is not
   * there, before anything is read.
   */
  async sessions(userId: UserId, version: string, roomId: RoomId | null): Promise<AsyncIterable<BackedUpSession[]>> {
    const { db } = this.#deps;
    const backup = await this.#find(db, userId, version);
    return (async function* () {
      let after = { roomId: '', sessionId: '' };
      for (;;) {
        const page = await listBackedUpSessions(db, userId, backup.version, { roomId, after, limit: PAGE });
        if (page.length > 0) yield page;
        const last = page.at(-1);
        if (last === undefined || page.length < PAGE) return;
        after = last;
      }
    })();
  }
}

function authText(authData: JsonObject): string {
  const text = JSON.stringify(authData);
  if (!isWithinBytes(text, AUTH_DATA_BYTES_MAX))
    throw tooLarge(`auth_data: must be at most ${AUTH_DATA_BYTES_MAX} bytes.`);
  return text;
}
