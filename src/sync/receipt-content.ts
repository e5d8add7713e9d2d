/** Receipts as clients get them: by event, type and user. */
import type { UserId } from '../core/ids.ts';
import type { ReceiptRow } from '../storage/receipts.ts';

/** The content of an `m.receipt` event as JSON text, or null where the reader gets none of the receipts. */
export function receiptContent(receipts: readonly ReceiptRow[], reader: UserId): string | null {
  const content: Record<string, Record<string, Record<string, { ts: number; thread_id?: string }>>> = {};
  let isEmpty = true;
  for (const receipt of receipts) {
    if (receipt.type === 'm.fully_read') continue;
    if (receipt.type === 'm.read.private' && receipt.userId !== reader) continue;
    isEmpty = false;
    content[receipt.eventId] ??= {};
    const byType = content[receipt.eventId]!;
    byType[receipt.type] ??= {};
    const ofUsers = byType[receipt.type]!;
    const known = ofUsers[receipt.userId];
    // There is room for one of a user at one event: that without a thread says more (MSC4102).
    if (receipt.threadId !== '' && known !== undefined && known.thread_id === undefined) continue;
    ofUsers[receipt.userId] = {
      ts: receipt.tsMs,
      ...(receipt.threadId === '' ? {} : { thread_id: receipt.threadId }),
    };
  }
  return isEmpty ? null : JSON.stringify(content);
}
