/** A storm of sends that ends when the server is killed, and the record of what the server had promised by then. */
import type { Random } from '../../src/kit/random.ts';
import type { CrashClient } from './client.ts';

/** What the server has acknowledged: it must be there for ever. */
export type Promised = {
  readonly roomId: string;
  readonly eventId: string;
  readonly sender: CrashClient;
  /** The content that was sent. */
  readonly content: Readonly<Record<string, unknown>>;
  /** null for state events, which have no transaction. */
  readonly txnId: string | null;
};

/** A send that got no answer: done or not, a repetition must leave it done once. */
export type Unanswered = Omit<Promised, 'eventId'> & { readonly txnId: string };

export type StormResult = {
  readonly promised: Promised[];
  readonly unanswered: Unanswered[];
  /** Rooms whose creation was acknowledged, each with its owner. */
  readonly rooms: { readonly roomId: string; readonly owner: CrashClient; readonly name: string }[];
  /** Refusals, of which there should be none. */
  readonly problems: string[];
};

/** One sender, with the count that makes its messages unique and shows their order. */
export type Sender = { readonly client: CrashClient; count: number };

/** Sends in all rooms from all senders, each one thing at a time, until the server goes away. */
export async function storm(
  senders: readonly Sender[],
  rooms: readonly string[],
  random: Random,
): Promise<StormResult> {
  const result: StormResult = { promised: [], unanswered: [], rooms: [], problems: [] };
  const keepSending = async (sender: Sender): Promise<void> => {
    const { client } = sender;
    for (;;) {
      const roomId = rooms[random.integer(rooms.length)]!;
      const dice = random.integer(100);
      sender.count += 1;
      const label = `${client.userId} ${sender.count}`;
      if (dice < 80) {
        const txnId = `t${sender.count}`;
        const content = { msgtype: 'm.text', body: label };
        const reply = await client.sendMessage(roomId, txnId, label).catch(() => null);
        if (reply === null) return void result.unanswered.push({ roomId, sender: client, content, txnId });
        if (reply.status !== 200) result.problems.push(`send: ${reply.status} ${JSON.stringify(reply.body)}`);
        else result.promised.push({ roomId, sender: client, content, txnId, eventId: String(reply.body['event_id']) });
      } else if (dice < 97) {
        const isRename = dice < 88;
        const content = isRename ? { membership: 'join', displayname: label } : { label };
        const [type, key] = isRename ? ['m.room.member', client.userId] : ['org.example.state', `key ${dice % 3}`];
        const reply = await client.setState(roomId, type, key, content).catch(() => null);
        if (reply === null) return;
        if (reply.status !== 200) result.problems.push(`state: ${reply.status} ${JSON.stringify(reply.body)}`);
        else
          result.promised.push({
            roomId,
            sender: client,
            content,
            txnId: null,
            eventId: String(reply.body['event_id']),
          });
      } else {
        const reply = await client.call('POST', '/createRoom', { name: label }).catch(() => null);
        if (reply === null) return;
        if (reply.status !== 200) result.problems.push(`createRoom: ${reply.status} ${JSON.stringify(reply.body)}`);
        else result.rooms.push({ roomId: String(reply.body['room_id']), owner: client, name: label });
      }
      // A server that refuses everything must not keep us here for ever.
      if (result.problems.length > 20) return;
    }
  };
  await Promise.all(senders.map(keepSending));
  return result;
}
