/**
 * Messages from device to device: put down for those of our users, handed on for those of other servers.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging
 */
import { badJson, invalidParam, tooLarge } from '../core/errors.ts';
import { sha256Base64 } from '../core/event-hash.ts';
import { isWithinBytes, parseUserId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { canonicalJson, findCanonicalFault } from '../core/json.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import type { RateLimiter } from '../http/limits.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import { txnKeyOf } from '../rooms/client-view.ts';
import { type Database, UniqueViolation } from '../storage/database.ts';
import { listDevicesOf } from '../storage/devices.ts';
import { insertToDeviceOnce, isToDeviceDone } from '../storage/to-device.ts';
import type { Stream } from '../stream/stream.ts';
import type { ToDeviceInbox, ToDeviceMessage } from '../stream/to-device-inbox.ts';
import type { Transaction } from './once.ts';
import { EDU_BYTES_MAX, type EduFor, outgoingEdus } from './outgoing-edus.ts';

export type ToDeviceDeps = {
  readonly db: Database;
  readonly stream: Stream;
  readonly clock: Clock;
  readonly random: Random;
  readonly inbox: ToDeviceInbox;
  readonly limiter: Pick<RateLimiter, 'tries'>;
  readonly serverName: ServerName;
  /** Whether the configuration lets us speak with a server. */
  readonly mayFederateWith: (server: ServerName) => boolean;
};

/** Contents by device ID (`*`: all devices) by user ID. */
export type Messages = Readonly<Record<string, Readonly<Record<string, JsonObject>>>>;

const TYPE_BYTES_MAX = 255;
const MESSAGE_ID_CHARS_MAX = 1000;
const MESSAGE_ID_LENGTH = 16;
/** What surrounds the contents in an EDU, generously. */
const EDU_FRAME_BYTES = 1500;
/** Asking other devices for room keys is what goes wild first: it is limited, and lost beyond that. */
const KEY_REQUEST = 'm.room_key_request';

export class ToDevice {
  readonly #deps: ToDeviceDeps;

  constructor(deps: ToDeviceDeps) {
    this.#deps = deps;
  }

  /**
   * Sends messages; a repeated transaction sends nothing. Devices that are not there are left out.
   *
   * @throws MatrixError 400 for a type that is too long, what is no user ID or has no canonical form, 413 for a message
   * that no EDU could hold
   */
  async send(sender: UserId, type: string, messages: Messages, { deviceScope, txnId }: Transaction): Promise<void> {
    const { db, clock, inbox, limiter, stream } = this.#deps;
    if (type === '' || !isWithinBytes(type, TYPE_BYTES_MAX)) throw invalidParam('eventType: is too long.');
    const scope = `${sender}\0${deviceScope}`;
    const idHash = sha256Base64(txnKeyOf(['sendToDevice', type], txnId));
    const read = Object.entries(messages).map(([userText, byDevice]) => readMessages(userText, byDevice));
    if (await isToDeviceDone(db, scope, idHash)) return;
    const isLimited = type === KEY_REQUEST && !limiter.tries('keyRequests', sender);
    const sent = isLimited ? [] : read;
    const { serverName } = this.#deps;
    const local = sent.filter(({ userId }) => serverNameOf(userId) === serverName);
    const remote = sent.filter(({ userId }) => serverNameOf(userId) !== serverName);
    const edus = outgoingEdus(stream, this.#edusTo(sender, type, remote));
    try {
      await inbox.deliver(sender, await this.#forDevices(sender, type, local), {
        statements: [insertToDeviceOnce(scope, idHash, clock.now()), ...edus.statements],
        tells: { edusTo: edus.destinations },
      });
    } catch (error) {
      // The same request came twice at one time: the other one did it.
      if (!(error instanceof UniqueViolation)) throw error;
    }
  }

  /**
   * Takes in what another server brings for devices of our users, each message once. Gives false where nothing of it is
   * for anybody: that leaves no trace (threat C13).
   */
  async receive(origin: ServerName, content: JsonObject): Promise<boolean> {
    const { clock, inbox, limiter, serverName } = this.#deps;
    const { type, message_id: messageId, messages } = content;
    const sender = parseUserId(content['sender']);
    if (sender === null || serverNameOf(sender) !== origin || !isJsonObject(messages)) return false;
    if (typeof type !== 'string' || type === '' || !isWithinBytes(type, TYPE_BYTES_MAX)) return false;
    if (typeof messageId !== 'string' || messageId.length > MESSAGE_ID_CHARS_MAX) return false;
    const read = Object.entries(messages).flatMap(([userText, byDevice]) => {
      const userId = parseUserId(userText);
      if (userId === null || serverNameOf(userId) !== serverName || !isJsonObject(byDevice)) return [];
      const contents = Object.entries(byDevice).flatMap(([deviceId, content]): [string, JsonObject][] =>
        isJsonObject(content) && sizeOf(content) <= EDU_BYTES_MAX ? [[deviceId, content]] : [],
      );
      return [{ userId, contents }];
    });
    const forDevices = await this.#forDevices(sender, type, read);
    if (forDevices.length === 0) return false;
    if (type === KEY_REQUEST && !limiter.tries('keyRequests', sender)) return false;
    try {
      await inbox.deliver(origin, forDevices, {
        statements: [insertToDeviceOnce(origin, sha256Base64(messageId), clock.now())],
      });
    } catch (error) {
      if (!(error instanceof UniqueViolation)) throw error;
    }
    return true;
  }

  /** The messages for the devices that are there. */
  async #forDevices(sender: UserId, type: string, read: readonly ReadMessages[]): Promise<ToDeviceMessage[]> {
    const rows = await listDevicesOf(
      this.#deps.db,
      read.map(({ userId }) => userId),
    );
    const devices = Map.groupBy(rows, ({ userId }) => userId);
    return read.flatMap(({ userId, contents }) => {
      const byDevice = new Map(contents);
      const forAll = byDevice.get('*');
      return (devices.get(userId) ?? []).flatMap(({ deviceId }) => {
        const content = byDevice.get(deviceId) ?? forAll;
        if (content === undefined) return [];
        return [{ userId, deviceId, message: canonicalJson({ sender, type, content }, { strict: false }) }];
      });
    });
  }

  /** Messages for other servers, in as few EDUs as hold them. */
  #edusTo(sender: UserId, type: string, read: readonly ReadMessages[]): EduFor[] {
    const { random, mayFederateWith } = this.#deps;
    const edus: EduFor[] = [];
    for (const [server, ofServer] of Map.groupBy(read, ({ userId }) => serverNameOf(userId))) {
      if (!mayFederateWith(server)) continue;
      for (const messages of packed(ofServer)) {
        const content = { sender, type, message_id: random.text(MESSAGE_ID_LENGTH), messages };
        edus.push({ destinations: [server], type: 'm.direct_to_device', content });
      }
    }
    return edus;
  }
}

type ReadMessages = { readonly userId: UserId; readonly contents: readonly (readonly [string, JsonObject])[] };

function readMessages(userText: string, byDevice: Readonly<Record<string, JsonObject>>): ReadMessages {
  const userId = parseUserId(userText);
  if (userId === null) throw badJson(`messages: ${userText.slice(0, TYPE_BYTES_MAX)} is not a user ID.`);
  const contents = Object.entries(byDevice);
  for (const [deviceId, content] of contents) {
    if (findCanonicalFault(content) !== null) throw badJson('messages: what stands there has no canonical form.');
    if (sizeOf(content) + Buffer.byteLength(deviceId) + EDU_FRAME_BYTES > EDU_BYTES_MAX) {
      throw tooLarge(`A message to a device has at most ${EDU_BYTES_MAX - EDU_FRAME_BYTES} bytes.`);
    }
  }
  return { userId, contents };
}

const sizeOf = (content: JsonObject): number => Buffer.byteLength(canonicalJson(content, { strict: false }));

/** Splits messages into parts that each fit into an EDU (threat C13). */
function packed(read: readonly ReadMessages[]): JsonObject[] {
  const parts: Map<UserId, [string, JsonObject][]>[] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const { userId, contents } of read) {
    for (const [deviceId, content] of contents) {
      const size = sizeOf(content) + Buffer.byteLength(userId) + Buffer.byteLength(deviceId) + 16;
      if (bytes + size > EDU_BYTES_MAX - EDU_FRAME_BYTES) {
        parts.push(new Map());
        bytes = 0;
      }
      const part = parts.at(-1)!;
      const ofUser = part.get(userId);
      if (ofUser === undefined) part.set(userId, [[deviceId, content]]);
      else ofUser.push([deviceId, content]);
      bytes += size;
    }
  }
  return parts.map((part) =>
    Object.fromEntries([...part].map(([userId, contents]) => [userId, Object.fromEntries(contents)])),
  );
}
