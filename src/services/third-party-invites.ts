/**
 * Invites by mail address that have found their user: from the word of an identity server to an invite in the room.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#third-party-invites
 */
import { FEDERATION } from '../contracts/federation/index.ts';
import { badJson, forbidden, invalidParam, MatrixError, notFound } from '../core/errors.ts';
import { parseRoomId, parseUserId, type RoomId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { findThirdPartySigner, thirdPartyKeysOf } from '../core/third-party-keys.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import type { KeyValidity } from '../remote/key-validity.ts';
import { shownContent } from '../rooms/client-view.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Accounts } from './accounts.ts';
import type { Limits } from './asker.ts';
import type { Membership } from './membership.ts';
import type { RemoteInvites } from './remote-invites.ts';
import type { ResidentRooms } from './resident-rooms.ts';

export type ThirdPartyInvitesDeps = {
  readonly rooms: Rooms;
  readonly reader: RoomReader;
  readonly events: EventStore;
  readonly accounts: Accounts;
  readonly membership: Membership;
  readonly residentRooms: ResidentRooms;
  readonly remoteInvites: RemoteInvites;
  readonly remote: Pick<FederationClient, 'call'>;
  readonly keyValidity: Pick<KeyValidity, 'isValid'>;
  readonly limits: Limits;
  readonly log: { info(message: string, fields?: object): void };
};

/** What an identity server signed: the user that an invite's token now belongs to. */
type Proof = { readonly mxid: UserId; readonly token: string; readonly signatures: JsonObject };

/** An address that was bound to a user, and the invites that wait for it. */
export type Binding = { readonly userId: UserId; readonly invites: readonly JsonValue[] };

type Waiting = { readonly roomId: RoomId; readonly sender: UserId; readonly proof: Proof };

/** How many earlier memberships of a user are looked through for a token. */
const STEPS_MAX = 100;
export const INVITES_MAX = 20;

export class ThirdPartyInvites {
  readonly #deps: ThirdPartyInvitesDeps;

  constructor(deps: ThirdPartyInvitesDeps) {
    this.#deps = deps;
  }

  /**
   * Makes an invite by address, which a user of ours sent, one of the user whom it has found. Another server asks.
   *
   * @throws MatrixError 400 for what is no such invite; 403 where the room's access control list keeps the server out,
   *   the proof is not that of an invite in the room (threat B12), was used before, or is by a key that is not valid any
   *   more; 404 where we are not in the room; 502 where nobody says whether the key is valid
   */
  async exchange(origin: ServerName, roomId: RoomId, partial: JsonObject): Promise<void> {
    const { rooms, residentRooms, limits } = this.#deps;
    const { type, content, room_id: namedRoomId } = partial;
    // Threat A5.
    if (namedRoomId !== roomId) throw invalidParam('The event is of another room than the path.');
    if (type !== 'm.room.member' || !isJsonObject(content) || content['membership'] !== 'invite') {
      throw invalidParam('The event is no invite.');
    }
    const sender = parseUserId(partial['sender']);
    const target = parseUserId(partial['state_key']);
    const invite = content['third_party_invite'];
    const proof = isJsonObject(invite) ? readProof(invite['signed']) : null;
    if (sender === null || target === null || proof === null) {
      throw badJson('sender, state_key and content.third_party_invite.signed are needed.');
    }
    if (proof.mxid !== target) throw invalidParam('The proof is for another user.');
    const live = await rooms.find(roomId);
    if (live === null || !live.isServerJoined) throw notFound('This server is not in the room.');
    await residentRooms.checkAcl(origin, live);
    if (!live.isLocal(sender)) throw invalidParam('The sender is not a user of this server.');
    limits.spend('thirdPartyInvite', origin);
    await this.#invite(live, { roomId, sender, proof });
  }

  /**
   * An identity server tells of an address that a user of ours has now, and of the invites that wait for it. Each is
   * made an invite in its room, here or by the server of who sent it. One that fails takes no other with it.
   */
  async onBound({ userId, invites }: Binding): Promise<void> {
    const { accounts, log } = this.#deps;
    const user = accounts.isLocal(userId) ? await accounts.find(userId) : undefined;
    if (user === undefined || user.isDeactivated) throw notFound('This server has no such user.');
    for (const given of invites.slice(0, INVITES_MAX)) {
      const waiting = readWaiting(given, userId);
      if (waiting === null) continue;
      try {
        await this.#deliver(waiting);
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        log.info('An invite by address was not delivered.', { roomId: waiting.roomId, userId, reason: error.message });
      }
    }
  }

  async #deliver(waiting: Waiting): Promise<void> {
    const { rooms, accounts, remote } = this.#deps;
    const { roomId, sender, proof } = waiting;
    if (accounts.isLocal(sender)) {
      const live = await rooms.find(roomId);
      if (live === null || !live.isServerJoined) throw notFound('This server is not in the room.');
      return this.#invite(live, waiting);
    }
    const body = {
      type: 'm.room.member',
      room_id: roomId,
      sender,
      state_key: proof.mxid,
      content: { membership: 'invite', third_party_invite: { signed: wireOf(proof) } },
    };
    await remote.call(serverNameOf(sender), FEDERATION.exchangeThirdPartyInvite, { params: { roomId }, body });
  }

  async #invite(live: LiveRoom, { sender, proof }: Waiting): Promise<void> {
    const { rooms, reader, membership, remoteInvites } = this.#deps;
    const target = proof.mxid;
    const offer = await reader.stateEvent(live, 'm.room.third_party_invite', proof.token);
    if (offer === null) throw forbidden('No invite in the room has that token.');
    if (live.membershipOf(target) === 'join') throw forbidden('The user is in the room already.');
    if (await this.#wasUsed(live, proof)) throw forbidden('The invite was used before.');
    await this.#checkKey(offer.pdu.content, proof);
    const name = shownContent(offer)['display_name'];
    const content = {
      membership: 'invite',
      third_party_invite: { ...(typeof name === 'string' ? { display_name: name } : {}), signed: wireOf(proof) },
    };
    if (!live.isLocal(target)) await remoteInvites.send(live, { sender, target, content });
    else {
      await membership.checkWanted([target]);
      await rooms.send(live.roomId, [{ type: 'm.room.member', stateKey: target, sender, content }]);
    }
  }

  /** The key must be valid still; whether its signature is good is for the room's rules to say, too. */
  async #checkKey(offer: JsonObject, proof: Proof): Promise<void> {
    const key = findThirdPartySigner(wireOf(proof), thirdPartyKeysOf(offer));
    if (key === null) throw forbidden('No key of the invite signed the proof.');
    if (key.validityUrl === null) return;
    const isValid = await this.#deps.keyValidity.isValid(key.validityUrl, key.publicKey);
    if (!isValid) throw forbidden('The key that signed the proof is not valid any more.');
  }

  /** A token lets in once: who was put out of the room does not come back by it (threat B12). */
  async #wasUsed(live: LiveRoom, { mxid, token }: Proof): Promise<boolean> {
    let eventNo = live.currentNo('m.room.member', mxid);
    for (let step = 0; eventNo !== null && step < STEPS_MAX; step++) {
      const { pdu, row } = await this.#deps.events.get(eventNo);
      const invite = pdu.content['third_party_invite'];
      const signed = isJsonObject(invite) ? invite['signed'] : undefined;
      if (isJsonObject(signed) && signed['token'] === token) return true;
      eventNo = row.replacesNo;
    }
    return false;
  }
}

const wireOf = ({ mxid, token, signatures }: Proof): JsonObject => ({ mxid, token, signatures });

function readProof(given: JsonValue | undefined): Proof | null {
  if (!isJsonObject(given)) return null;
  const mxid = parseUserId(given['mxid']);
  const { token, signatures } = given;
  if (mxid === null || typeof token !== 'string' || !isJsonObject(signatures)) return null;
  return { mxid, token, signatures };
}

function readWaiting(given: JsonValue, userId: UserId): Waiting | null {
  if (!isJsonObject(given)) return null;
  const roomId = parseRoomId(given['room_id']);
  const sender = parseUserId(given['sender']);
  const proof = readProof(given['signed']);
  return roomId === null || sender === null || proof?.mxid !== userId ? null : { roomId, sender, proof };
}
