/** The wiring of what other servers push to us, and of what we fetch from them for the rooms that we are in. */
import type { ServerName } from '../core/ids.ts';
import { InboundEdus } from '../inbound/edus.ts';
import { FillGaps } from '../inbound/fill-gaps.ts';
import { InboundBounds } from '../inbound/inbound-bounds.ts';
import { ReceivedAnswers } from '../inbound/received-answers.ts';
import { RoomInbox } from '../inbound/room-inbox.ts';
import { Staging } from '../inbound/staging.ts';
import { Transactions } from '../inbound/transaction.ts';
import type { Clock } from '../kit/clock.ts';
import { every } from '../kit/every.ts';
import type { Log } from '../kit/log.ts';
import type { Metrics } from '../kit/metrics.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { RoomGraph } from '../rooms/room-graph.ts';
import type { Rooms } from '../rooms/rooms.ts';
import { Backfill } from '../services/backfill.ts';
import type { PolicyServers } from '../services/policy-servers.ts';
import type { Presence } from '../services/presence.ts';
import type { Receipts } from '../services/receipts.ts';
import type { RemoteDeviceLists } from '../services/remote-device-lists.ts';
import { RemoteEvents } from '../services/remote-events.ts';
import { RemoteState } from '../services/remote-state.ts';
import { RemoteTimes } from '../services/remote-times.ts';
import type { ToDevice } from '../services/to-device.ts';
import type { Database } from '../storage/database.ts';
import { deleteReceivedTransactionsBefore } from '../storage/received-transactions.ts';
import type { Stream } from '../stream/stream.ts';
import type { Typing } from '../stream/typing.ts';
import type { Federation } from './compose-federation.ts';
import type { PduTimes } from './pdu-times.ts';

export type FetchingDeps = {
  readonly federation: Pick<Federation, 'client' | 'eventChecks'>;
  readonly rooms: Rooms;
  readonly events: EventStore;
  readonly graph: RoomGraph;
  readonly serverName: ServerName;
  readonly clock: Clock;
  readonly log: Log;
};

/** How events and states are fetched from other servers. */
export type Fetching = {
  readonly remote: RemoteEvents;
  readonly state: RemoteState;
  readonly backfill: Backfill;
  readonly remoteTimes: RemoteTimes;
  stop(): Promise<void>;
};

export function composeFetching(deps: FetchingDeps): Fetching {
  const { federation, rooms, events, graph, serverName, clock, log } = deps;
  const stopping = new AbortController();
  const remote = new RemoteEvents({
    client: federation.client,
    checks: federation.eventChecks,
    signal: stopping.signal,
    log: log.child('services.remote-events'),
  });
  const state = new RemoteState({ rooms, events, graph, remote });
  const backfill = new Backfill({
    rooms,
    events,
    graph,
    remote,
    state,
    clock,
    log: log.child('services.backfill'),
    serverName,
  });
  const remoteTimes = new RemoteTimes({
    events,
    remote,
    backfill,
    clock,
    log: log.child('services.remote-times'),
    serverName,
  });
  return {
    remote,
    state,
    backfill,
    remoteTimes,
    async stop(): Promise<void> {
      stopping.abort(new Error('The server stops.'));
      await Promise.all([backfill.stop(), remoteTimes.stop()]);
    },
  };
}

export type InboundDeps = FetchingDeps & {
  readonly fetching: Fetching;
  readonly policies: PolicyServers;
  readonly pduTimes: PduTimes;
  readonly db: Database;
  readonly stream: Stream;
  readonly typing: Typing;
  readonly receipts: Receipts;
  readonly presence: Presence;
  readonly toDevice: ToDevice;
  readonly remoteDeviceLists: RemoteDeviceLists;
  readonly metrics: Metrics | null;
};

const HOUR_MS = 3_600_000;
/** How long a server may repeat a transaction and get the first answer, also after a restart of ours. */
const ANSWERS_KEPT_MS = 3 * HOUR_MS;

/** How transactions are taken in; goes on at once with what was not finished at the last stop. */
export function composeInbound(deps: InboundDeps): { readonly transactions: Transactions; stop(): Promise<void> } {
  const { federation, fetching, rooms, events, graph, serverName, db, stream, clock, log, metrics } = deps;
  const { remote, state } = fetching;
  const gaps = new FillGaps({ rooms, events, graph, remote, state, policies: deps.policies });
  const bounds = new InboundBounds({ clock });
  const inbox = new RoomInbox({ db, rooms, events, checks: federation.eventChecks, gaps, bounds, serverName });
  const staging = new Staging({ db, stream, clock, log: log.child('inbound.staging'), inbox, bounds });
  metrics?.measured(
    'myelin_staged_events',
    'Events that were acknowledged and wait for others that are missing.',
    () => staging.count,
  );
  const received = metrics?.counter({
    name: 'myelin_received_edus_total',
    help: 'EDUs of other servers by type and by what became of them.',
    labels: ['type', 'outcome'],
  });
  const edus = new InboundEdus({
    rooms,
    events,
    typing: deps.typing,
    receipts: deps.receipts,
    presence: deps.presence,
    toDevice: deps.toDevice,
    remoteDeviceLists: deps.remoteDeviceLists,
    log: log.child('inbound.edus'),
    count: (type, outcome) => received?.with(type, outcome).inc(),
  });
  const receivedPdus = metrics?.counter({
    name: 'myelin_received_pdus_total',
    help: 'PDUs in transactions of other servers by what became of them.',
    labels: ['outcome'],
  });
  const answers = new ReceivedAnswers({ db, clock, log: log.child('inbound.answers') });
  const transactions = new Transactions({
    answers,
    clock,
    log: log.child('inbound.transactions'),
    rooms,
    inbox,
    staging,
    edus,
    bounds,
    count: (outcome, events) => receivedPdus?.with(outcome).inc(events),
    onPdus: (origin, pdus) => deps.pduTimes.received(origin, pdus),
  });
  staging.resume().catch((error: unknown) => {
    log.error('Events that were acknowledged before the last stop could not be read.', { error });
  });
  const stopForgetting = every(
    clock,
    HOUR_MS,
    () => deleteReceivedTransactionsBefore(db, clock.now() - ANSWERS_KEPT_MS),
    (error) => log.error('Old transactions could not be forgotten.', { error }),
  );
  return {
    transactions,
    async stop(): Promise<void> {
      stopForgetting();
      await transactions.stop();
    },
  };
}
