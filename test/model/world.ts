/** A server's reading side over one database, without HTTP: what `main/compose.ts` builds of it, and quick to build. */
import { defaultConfig } from '../../src/config/config.ts';
import { compileFilter } from '../../src/core/filter.ts';
import type { UserId } from '../../src/core/ids.ts';
import type { HandClock } from '../../src/kit/clock.ts';
import { silentLog } from '../../src/kit/log.ts';
import { ClientViews } from '../../src/rooms/client-view.ts';
import { IgnoredUsers } from '../../src/rooms/ignored-users.ts';
import { PrejoinState } from '../../src/rooms/prejoin-state.ts';
import { PushVerdicts } from '../../src/rooms/push-verdicts.ts';
import { AccountData } from '../../src/services/account-data.ts';
import { PushRules } from '../../src/services/push-rules.ts';
import { Receipts } from '../../src/services/receipts.ts';
import type { Database } from '../../src/storage/database.ts';
import { ChangeIndex } from '../../src/stream/change-index.ts';
import { DeviceListLog } from '../../src/stream/device-list-log.ts';
import { KeyCounts } from '../../src/stream/key-counts.ts';
import { PresenceTracker } from '../../src/stream/presence-tracker.ts';
import { ToDeviceInbox } from '../../src/stream/to-device-inbox.ts';
import { Typing } from '../../src/stream/typing.ts';
import { DeviceListView } from '../../src/sync/device-list-view.ts';
import { PresenceViews } from '../../src/sync/presence-view.ts';
import { RoomViews } from '../../src/sync/room-view.ts';
import { Sync } from '../../src/sync/sync.ts';
import { UnreadCounts } from '../../src/sync/unread-counts.ts';
import { UserRoomsCache } from '../../src/sync/user-rooms.ts';
import { type Engine, SERVER_NAME, startEngine } from '../../src/testing/engine.ts';

/** The parts of a sync's answer that a model looks at. */
export type SyncAnswer = {
  readonly next_batch: string;
  readonly rooms?: { readonly join?: Readonly<Record<string, JoinedAnswer>> };
};

type CountAnswer = { readonly notification_count: number; readonly highlight_count: number };

export type JoinedAnswer = {
  readonly timeline: { readonly events: readonly { readonly event_id: string }[]; readonly limited: boolean };
  readonly unread_notifications: CountAnswer;
  readonly unread_thread_notifications?: Readonly<Record<string, CountAnswer>>;
};

export type World = Engine & {
  readonly receipts: Receipts;
  readonly pushRules: PushRules;
  readonly accountData: AccountData;
  readonly unread: UnreadCounts;
  sync(userId: UserId, since: number | null, tellsThreadsApart: boolean): Promise<SyncAnswer>;
};

/** Small, so that a history of some steps finds counts on disk. */
const PUSH_RULES = { polls: true };
const STORE_AFTER = 3;

/** Starts it, also again on a database that another one was built on before. */
export async function startWorld(db: Database, clock: HandClock, seed: number): Promise<World> {
  const engine = await startEngine(db, SERVER_NAME, { clock, seed });
  const { stream, events, snapshots, rooms, reader, retention, bundles, erased } = engine;
  const ignored = new IgnoredUsers({ db, stream });
  const views = new ClientViews({ events, snapshots, clock, bundles, erased });
  const verdicts = new PushVerdicts({ db, stream, events, ignored, retention, pushRuleOptions: PUSH_RULES });
  const unread = new UnreadCounts({ db, stream, events, verdicts }, { storeAfter: STORE_AFTER });
  const presence = new PresenceTracker({
    db,
    stream,
    clock,
    log: silentLog,
    timers: { activeMs: 60_000, idleMs: 300_000, offlineMs: 30_000 },
    mode: 'off',
    excludedRooms: [],
    mayChangeBySync: () => true,
  });
  const sync = new Sync({
    db,
    clock,
    stream,
    changes: new ChangeIndex(stream),
    typing: new Typing({ stream, clock }),
    rooms,
    events,
    reader,
    userRooms: new UserRoomsCache({ db, stream }),
    roomViews: new RoomViews(
      {
        db,
        reader,
        events,
        snapshots,
        views,
        ignored,
        prejoinState: new PrejoinState({ events, config: defaultConfig('myelin.test').rooms }),
      },
      { timelineMax: null },
    ),
    unread,
    pushRuleOptions: PUSH_RULES,
    ignored,
    presence,
    presenceViews: new PresenceViews({ tracker: presence, clock }, { includesOffline: false }),
    inbox: new ToDeviceInbox({ db, stream, log: silentLog }),
    keyCounts: new KeyCounts({ db }),
    deviceLists: new DeviceListView({ db, log: new DeviceListLog(stream) }),
  });
  const pushRules = new PushRules({ db, stream, options: PUSH_RULES });
  const filters = [false, true].map((isApart) =>
    compileFilter({ room: { timeline: { limit: 1000, unread_thread_notifications: isApart } } }),
  );
  return {
    ...engine,
    receipts: new Receipts({ db, stream, clock, rooms, events }),
    pushRules,
    accountData: new AccountData({ db, stream, rooms, pushRules, limitsInfoUri: 'mailto:admin@myelin.test' }),
    unread,
    async sync(userId, since, tellsThreadsApart) {
      const answer = await sync.sync({
        reader: { userId, deviceScope: 'device A' },
        deviceId: 'A',
        filter: filters[Number(tellsThreadsApart)]!,
        since,
        toDeviceSince: since ?? 0,
        timeoutMs: 0,
        wantsFullState: false,
        stateAfter: null,
        signal: new AbortController().signal,
        presence: null,
      });
      return JSON.parse(answer.text) as SyncAnswer;
    },
  };
}
