/** Other servers as a sender of transactions meets them: they take what comes, fail or stay silent, as a test says. */
import type { ServerName } from '../../src/core/ids.ts';
import type { JsonObject } from '../../src/core/json-value.ts';
import { RemoteError } from '../../src/remote/remote-error.ts';
import type { Wire } from '../../src/senders/federation/deliveries.ts';
import type { TransactionBody } from '../../src/senders/federation/transaction.ts';

export type Delivery = { readonly to: string; readonly txnId: string; readonly body: TransactionBody };

export class PlayedWire implements Wire {
  /** What arrived, in order. */
  readonly deliveries: Delivery[] = [];
  /** Each try, also those that failed. */
  readonly tries: Delivery[] = [];
  /** What a server does with a transaction; takes it where nothing is said. */
  readonly behaviors = new Map<string, (delivery: Delivery) => 'takes' | 'hangs' | RemoteError>();
  /** Servers that are to be left alone for so long. */
  readonly pausedMs = new Map<string, number>();
  readonly #hanging = new Map<string, () => void>();

  async send(to: ServerName, txnId: string, body: TransactionBody, signal: AbortSignal): Promise<void> {
    const delivery = { to, txnId, body };
    this.tries.push(delivery);
    const behavior = this.behaviors.get(to)?.(delivery) ?? 'takes';
    if (behavior instanceof RemoteError) throw behavior;
    if (behavior === 'hangs') {
      await new Promise<void>((resolve, reject) => {
        this.#hanging.set(to, resolve);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    }
    this.deliveries.push(delivery);
  }

  waitMs(server: ServerName): number {
    return this.pausedMs.get(server) ?? 0;
  }

  /** A server that hung takes what it was sent. */
  release(server: string): void {
    this.#hanging.get(server)?.();
    this.#hanging.delete(server);
  }

  /** Cuts a server off, or joins it again. */
  cut(server: string): void {
    this.behaviors.set(server, () => new RemoteError('unreachable', `${server} is away.`));
  }

  join(server: string): void {
    this.behaviors.delete(server);
  }

  /** The IDs of transactions that a server got. */
  idsOf(server: string): string[] {
    return this.deliveries.filter(({ to }) => to === server).map(({ txnId }) => txnId);
  }

  /** What the messages said, or else the types, of the events that a server got, transaction by transaction. */
  toldTo(server: string): string[][] {
    return this.deliveries.filter(({ to }) => to === server).map(({ body }) => body.pdus.map(wordOf));
  }

  /** The EDUs that a server got. */
  edusOf(server: string): { edu_type: string; content: JsonObject }[] {
    return this.deliveries.filter(({ to }) => to === server).flatMap(({ body }) => body.edus);
  }
}

function wordOf(pdu: JsonObject): string {
  const { body, membership } = pdu['content'] as JsonObject;
  return String(body ?? membership ?? pdu['type']);
}
