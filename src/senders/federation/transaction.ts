/**
 * Transactions: what goes to another server in one request.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import { createHash } from 'node:crypto';
import { EDUS_MAX } from '../../contracts/federation/transactions.ts';
import type { ServerName } from '../../core/ids.ts';
import type { JsonObject } from '../../core/json-value.ts';
import { redact } from '../../core/redaction.ts';
import type { EventStore } from '../../rooms/event-store.ts';
import type { StoredEvent } from '../../rooms/stored-event.ts';
import type { Database } from '../../storage/database.ts';
import { listOutgoingEdus, type OutgoingEdu } from '../../storage/outgoing-edus.ts';
import type { StreamPosition } from '../../stream/stream.ts';
import type { Portion } from './backlog.ts';
import type { Destination } from './destination.ts';
import type { Edu, TakenEdus } from './edu-queue.ts';

export type TransactionBody = {
  readonly origin: ServerName;
  readonly origin_server_ts: number;
  readonly pdus: JsonObject[];
  readonly edus: Edu[];
};

export type Transaction = {
  readonly txnId: string;
  readonly body: TransactionBody;
  /** Up to where the server has everything once it took this. */
  readonly position: StreamPosition;
  /** Whether all portions are in it. */
  readonly isWhole: boolean;
  readonly edus: TakenEdus;
  readonly stored: StoredEdus;
};

/** EDUs out of the database that are in it, in order. */
export type StoredEdus = {
  readonly eduNos: readonly number[];
  /** Whether no more of them wait. */
  readonly isAll: boolean;
};

/** What a transaction holds at most, so that no proxy on the way turns it away (threat C13). One event always fits. */
const TRANSACTION_BYTES_MAX = 1_000_000;

export class Transactions {
  readonly #deps: { db: Database; events: EventStore; serverName: ServerName };
  #count = 0;

  constructor(deps: { db: Database; events: EventStore; serverName: ServerName }) {
    this.#deps = deps;
  }

  /** Puts the next transaction together, out of what is owed, in order, and EDUs that wait; as much as one may hold. */
  async make(destination: Destination, portions: readonly Portion[], nowMs: number): Promise<Transaction> {
    const { events, serverName } = this.#deps;
    const found = await events.findMany(portions.flatMap(({ eventNos }) => eventNos));
    const pdus: JsonObject[] = [];
    const eventIds: string[] = [];
    let { position } = destination;
    let bytes = 0;
    let included = 0;
    for (const portion of portions) {
      // An event whose room was taken from this server since is owed to nobody.
      const told = portion.eventNos.flatMap((eventNo) => found.get(eventNo) ?? []);
      const size = told.reduce((sum, event) => sum + event.row.json.length, 0);
      if (
        pdus.length > 0 &&
        (pdus.length + told.length > destination.pdusMax || bytes + size > TRANSACTION_BYTES_MAX)
      ) {
        break;
      }
      for (const event of told) {
        pdus.push(wireForm(event));
        eventIds.push(event.eventId);
      }
      bytes += size;
      position = portion.position;
      included++;
    }
    const { edus: storedEdus, bytes: storedBytes, ...stored } = await this.#storedEdus(destination, bytes);
    bytes += storedBytes;
    const { eduNos } = stored;
    const edus = destination.edus.take(EDUS_MAX - eduNos.length, Math.max(0, TRANSACTION_BYTES_MAX - bytes));
    return {
      txnId:
        pdus.length > 0 || eduNos.length > 0
          ? idOf(destination.position, position, [...eventIds, ...eduNos.map(String)])
          : `e${nowMs.toString(36)}.${++this.#count}`,
      body: { origin: serverName, origin_server_ts: nowMs, pdus, edus: [...storedEdus, ...edus.edus] },
      position,
      isWhole: included === portions.length,
      edus,
      stored,
    };
  }

  /** EDUs that must arrive, the oldest first, as many as fit beside so many bytes. One always fits where nothing else is. */
  async #storedEdus(
    { name, hasStoredEdus, storedEdusMax }: Destination,
    bytesBefore: number,
  ): Promise<StoredEdus & { readonly edus: Edu[]; readonly bytes: number }> {
    const rows = hasStoredEdus ? await listOutgoingEdus(this.#deps.db, name, storedEdusMax + 1) : [];
    const taken: OutgoingEdu[] = [];
    let bytes = 0;
    for (const row of rows.slice(0, storedEdusMax)) {
      const isFirst = bytesBefore + bytes === 0;
      if (!isFirst && bytesBefore + bytes + row.edu.length > TRANSACTION_BYTES_MAX) break;
      bytes += row.edu.length;
      taken.push(row);
    }
    return {
      // Stored by us, in this very shape.
      edus: taken.map(({ edu }) => JSON.parse(edu) as Edu),
      bytes,
      eduNos: taken.map(({ eduNo }) => eduNo),
      isAll: taken.length === rows.length,
    };
  }
}

/** The same events on their way from and to the same positions have the same ID, also after a restart. */
function idOf(after: StreamPosition, upTo: StreamPosition, eventIds: readonly string[]): string {
  const content = [after, upTo, ...eventIds].join('\n');
  return `p${createHash('sha256').update(content).digest('base64url').slice(0, 30)}`;
}

/** The event as it travels; without what a redaction took since. */
function wireForm(event: StoredEvent): JsonObject {
  return event.isRedacted ? redact(event.rules, event.pdu.json) : event.pdu.json;
}
