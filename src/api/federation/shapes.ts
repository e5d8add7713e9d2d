/** How events are written into answers to other servers. */
import { Readable } from 'node:stream';
import type { ServerName } from '../../core/ids.ts';
import { RawReply } from '../../http/endpoint.ts';

/** What the envelope tells of us. */
export type Transactions = { serverName: ServerName; now: () => number };

/** The JSON text of events, given as JSON texts, with who sends them and when. */
export const transactionText = ({ serverName, now }: Transactions, pdus: readonly string[]): string =>
  `{"origin":${JSON.stringify(serverName)},"origin_server_ts":${now()},"pdus":[${pdus.join(',')}]}`;

type Lists = Readonly<Record<string, AsyncIterable<readonly string[]>>>;

/** An answer whose JSON is an object of lists of events, whose texts come some at a time. */
export const eventLists = (lists: Lists): RawReply =>
  new RawReply(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }, Readable.from(pieces(lists)));

async function* pieces(lists: Lists): AsyncGenerator<string> {
  let opening = '{';
  for (const [name, chunks] of Object.entries(lists)) {
    yield `${opening}"${name}":[`;
    let comma = '';
    for await (const texts of chunks) {
      if (texts.length === 0) continue;
      yield comma + texts.join(',');
      comma = ',';
    }
    opening = '],';
  }
  yield ']}';
}
