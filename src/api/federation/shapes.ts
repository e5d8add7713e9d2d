/** How events are written into answers to other servers. */
import { Readable } from 'node:stream';
import type { Operation } from '../../contracts/operation.ts';
import type { ServerName } from '../../core/ids.ts';
import { RawReply } from '../../http/endpoint.ts';
import { anyJson, array, type Schema } from '../../http/schema.ts';

/** What the envelope tells of us. */
export type Transactions = { serverName: ServerName; now: () => number };

/** The JSON text of events, given as JSON texts, with who sends them and when. */
export const transactionText = ({ serverName, now }: Transactions, pdus: readonly string[]): string =>
  `{"origin":${JSON.stringify(serverName)},"origin_server_ts":${now()},"pdus":[${pdus.join(',')}]}`;

type Lists = Readonly<Record<string, AsyncIterable<readonly string[]>>>;

/** What stands around the lists of an answer. */
type Frame = {
  /** Further members of the object, as JSON text, which come before the lists. */
  readonly headText?: string;
  /** What the object itself stands in. */
  readonly before?: string;
  readonly after?: string;
};

/** An answer whose JSON is an object of lists of events, whose texts come some at a time. */
export const eventLists = (lists: Lists, frame: Frame = {}): RawReply =>
  new RawReply(
    200,
    { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    Readable.from(pieces(lists, frame)),
  );

async function* pieces(lists: Lists, { headText, before = '', after = '' }: Frame): AsyncGenerator<string> {
  let opening = headText === undefined ? `${before}{` : `${before}{${headText},`;
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
  yield `]}${after}`;
}

const pair = array(anyJson);

/**
 * The first version of a call, whose answer is a pair of a status and what is the whole answer today. The specification
 * dropped those in its version 1.18.
 */
export function atVersion1<P extends Schema, Q extends Schema, B extends Schema>(
  operation: Operation<P, Q, B>,
): Operation<P, Q, B, typeof pair, 'json', 'server'> {
  const path = operation.path.replace('/v2/', '/v1/');
  const name = operation.name.replace(/V2$/, 'V1');
  return { ...operation, name, path, auth: 'server', reply: pair, replyKind: 'json', lists: [] };
}
