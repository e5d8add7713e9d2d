/** What makes a client's request happen once only. */
import { sentAs, txnKeyOf } from '../rooms/client-view.ts';
import type { OnceKey } from '../rooms/once-keys.ts';
import type { Asker } from './asker.ts';

/** A client's transaction: its ID counts for one device (or token) and one path (threat D11). */
export type Transaction = { readonly deviceScope: string; readonly txnId: string };

/** What makes a request happen once only, and lets its device know the event again. */
export type Once = { readonly key: OnceKey; readonly sentAs: string };

export function onceOf(asker: Asker, path: readonly string[], { deviceScope, txnId }: Transaction): Once {
  const key = { userId: asker.userId, scope: deviceScope, txnKey: txnKeyOf(path, txnId) };
  return { key, sentAs: sentAs(deviceScope, txnId) };
}
