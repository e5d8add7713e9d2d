/**
 * From when the newest event is that came from a server which the admin watches (`federation_metrics_domains`), and that
 * went there: one look tells whether federation with it stands still.
 */
import type { ServerName } from '../core/ids.ts';
import { isJsonObject, type JsonValue } from '../core/json-value.ts';
import type { Metrics } from '../kit/metrics.ts';

export class PduTimes {
  readonly #watched: ReadonlySet<string>;
  /** Seconds since 1970, by server. */
  readonly #received = new Map<string, number>();
  readonly #sent = new Map<string, number>();

  constructor({ servers, metrics }: { readonly servers: readonly string[]; readonly metrics: Metrics | null }) {
    this.#watched = new Set(metrics === null ? [] : servers);
    if (this.#watched.size === 0) return;
    const label = 'server';
    metrics?.measuredBy(
      {
        name: 'myelin_federation_last_received_pdu_seconds',
        help: 'When the newest event was made that came from a server, by its own clock.',
        label,
      },
      () => this.#received,
    );
    metrics?.measuredBy(
      {
        name: 'myelin_federation_last_sent_pdu_seconds',
        help: 'When the newest event was made that a server has taken from us.',
        label,
      },
      () => this.#sent,
    );
  }

  received(server: ServerName, pdus: readonly JsonValue[]): void {
    note(this.#watched, this.#received, server, pdus);
  }

  sent(server: ServerName, pdus: readonly JsonValue[]): void {
    note(this.#watched, this.#sent, server, pdus);
  }
}

function note(
  watched: ReadonlySet<string>,
  times: Map<string, number>,
  server: ServerName,
  pdus: readonly JsonValue[],
): void {
  if (!watched.has(server)) return;
  for (const pdu of pdus) {
    const madeMs = isJsonObject(pdu) ? pdu['origin_server_ts'] : undefined;
    if (typeof madeMs === 'number') times.set(server, Math.max(times.get(server) ?? 0, madeMs / 1000));
  }
}
