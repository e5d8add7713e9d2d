/** Closing an account for good, and taking its user out of all rooms. */
import type { UserId } from '../core/ids.ts';
import type { Log } from '../kit/log.ts';
import type { Database } from '../storage/database.ts';
import { listRoomsByNumber } from '../storage/events.ts';
import { listMembershipsOfUser } from '../storage/room-state.ts';
import type { Accounts } from './accounts.ts';
import type { KeyBackups } from './key-backups.ts';
import type { Membership } from './membership.ts';
import type { Presence } from './presence.ts';
import type { Profiles } from './profiles.ts';

export type DeactivationDeps = {
  readonly db: Database;
  readonly accounts: Accounts;
  readonly keyBackups: KeyBackups;
  readonly membership: Membership;
  readonly profiles: Profiles;
  readonly presence: Presence;
  readonly log: Log;
};

export class Deactivation {
  readonly #deps: DeactivationDeps;

  constructor(deps: DeactivationDeps) {
    this.#deps = deps;
  }

  /**
   * Closes an account. All its tokens are dead when this resolves, and its user is in no room any more. `isErased` also
   * hides what the user wrote from those who come later.
   */
  async deactivate(userId: UserId, options: { isErased: boolean }): Promise<void> {
    const { db, accounts, keyBackups, membership, profiles, presence, log } = this.#deps;
    await accounts.close(userId, options);
    await profiles.forget(userId);
    await presence.forget(userId);
    await keyBackups.forget(userId);
    const memberships = await listMembershipsOfUser(db, userId);
    const toLeave = memberships.filter((row) => row.membership !== 'leave' && row.membership !== 'ban');
    for (const { roomId } of await listRoomsByNumber(
      db,
      toLeave.map(({ roomNo }) => roomNo),
    )) {
      try {
        await membership.leave(userId, roomId);
      } catch (error) {
        // One room that does not let its member go must not keep the account open.
        log.warn('A closed account is still in a room.', { userId, roomId, error });
      }
    }
  }
}
