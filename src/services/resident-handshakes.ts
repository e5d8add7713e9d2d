/**
 * Users of other servers who join, leave or knock through this one: the template that we offer, and the event that comes
 * back signed.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { badRequest, forbidden, invalidParam, MatrixError, notFound } from '../core/errors.ts';
import { type EventId, parseUserId, type RoomId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { readPdu } from '../core/pdu-format.ts';
import type { RoomRules } from '../core/room-versions.ts';
import { type SigningKey, signEvent } from '../core/signing.ts';
import type { EventChecks } from '../remote/event-checks.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { PolicySignatures } from '../rooms/policy-signatures.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Limits } from './asker.ts';
import type { ResidentRooms } from './resident-rooms.ts';
import type { RestrictedJoins } from './restricted-joins.ts';

/** What a user may become through us. */
export type Wish = 'join' | 'leave' | 'knock';

export type ResidentHandshakesDeps = {
  readonly rooms: Rooms;
  readonly policies: PolicySignatures;
  readonly events: EventStore;
  readonly residentRooms: ResidentRooms;
  readonly restrictedJoins: RestrictedJoins;
  readonly eventChecks: Pick<EventChecks, 'check'>;
  readonly limits: Limits;
  readonly serverName: ServerName;
  readonly signingKey: SigningKey;
};

/** An event that was taken in, and which servers were in the room before it. */
export type Taken = {
  readonly live: LiveRoom;
  readonly event: StoredEvent;
  readonly serversBefore: readonly ServerName[];
};

/** What a server speaks that does not say: the specification's first version. */
const VERSIONS_DEFAULT: readonly string[] = ['1'];

export class ResidentHandshakes {
  readonly #deps: ResidentHandshakesDeps;

  constructor(deps: ResidentHandshakesDeps) {
    this.#deps = deps;
  }

  /**
   * The template of a member event. `versions`: the room versions that the asking server knows; null where it need not
   * say.
   *
   * @throws MatrixError 403 where the room's rules or its access control list refuse it, or the user is of another server;
   *   404 where we are not in the room; 400 M_INCOMPATIBLE_ROOM_VERSION, M_UNABLE_TO_AUTHORISE_JOIN,
   *   M_UNABLE_TO_GRANT_JOIN
   */
  async make(
    origin: ServerName,
    {
      roomId,
      userId,
      wish,
      versions,
    }: { roomId: RoomId; userId: UserId; wish: Wish; versions: readonly string[] | null },
  ): Promise<{ readonly event: JsonObject; readonly version: string }> {
    const { rooms, restrictedJoins } = this.#deps;
    if (serverNameOf(userId) !== origin) throw forbidden('A server may only ask for its own users.');
    const live = await this.#room(origin, roomId);
    const { version } = live.rules;
    if (wish !== 'leave' && !(versions ?? VERSIONS_DEFAULT).includes(version)) {
      const message = `The room is of version ${version}, which your server does not know.`;
      throw new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', message, { room_version: version });
    }
    const judged = wish === 'join' ? await restrictedJoins.judge(live, userId) : null;
    const vouching = judged === null ? null : vouchingOf(judged);
    const content = {
      membership: wish,
      ...(vouching === null ? {} : { join_authorised_via_users_server: vouching }),
    };
    const event = await rooms.template(roomId, { type: 'm.room.member', stateKey: userId, sender: userId, content });
    return { event, version };
  }

  /**
   * Takes in a member event that its server made of our template. One that came before is answered as it was then.
   *
   * @throws MatrixError as `make`; 400 M_INVALID_PARAM for an event that is something else than it was sent as (threat B1);
   *   403, 429, 502 where the room's policy server does not sign it
   */
  async take(
    origin: ServerName,
    { roomId, eventId, wish, wire }: { roomId: RoomId; eventId: EventId; wish: Wish; wire: JsonObject },
  ): Promise<Taken> {
    const { rooms, policies, events, limits } = this.#deps;
    const live = await this.#room(origin, roomId);
    const { rules } = live;
    const read = readPdu(rules, wire);
    if (!read.allowed) throw invalidParam(`The event cannot be read: ${read.reason}.`);
    checkShape(read.pdu, { roomId, eventId, wish, origin });
    if (!read.contentHashMatches) throw invalidParam('The content hash of the event is wrong.');
    const { sender } = read.pdu;
    if (wish === 'join' && live.membershipOf(sender) !== 'join') limits.spend('joinsPerRoom', roomId);
    const json = wish === 'join' ? await this.#cosigned(live, read.pdu) : read.pdu.json;
    const pdu = await policies.sign(live, await this.#checked(rules, json, roomId));
    const serversBefore = [...live.joinedByServer.keys()];
    const [verdict] = await rooms.append(roomId, [
      // Whoever is turned away leaves nothing behind, however often they come (threat B8).
      { pdu, kind: 'live', hasAuthorisingSignature: true, isForUsToTell: true, keepsTurnedDown: () => false },
    ]);
    const { standing, reason } = verdict!;
    if (standing === 'refused') throw invalidParam('The event stands on others that this server does not have.');
    if (standing !== 'ok') throw forbidden(`This is not allowed: ${reason}.`);
    return { live, event: (await events.findById(eventId))!, serversBefore };
  }

  /** The room, for a server that may take part in it and need not be in it. */
  async #room(origin: ServerName, roomId: RoomId): Promise<LiveRoom> {
    const { rooms, residentRooms } = this.#deps;
    const live = await rooms.find(roomId);
    if (live === null || !live.isServerJoined) throw notFound('This server is not in the room.');
    if (live.isPartial) throw notFound('This server does not know yet who is in the room: ask another one.');
    await residentRooms.checkAcl(origin, live);
    return live;
  }

  /**
   * The join with our signature, where a user of ours is to vouch for it. That is looked at anew: since the template was
   * made the user may have left the rooms that open this one, and ours may have lost the power to invite (threat B10).
   */
  async #cosigned(live: LiveRoom, pdu: Pdu): Promise<JsonObject> {
    const { restrictedJoins, serverName, signingKey } = this.#deps;
    const vouching = parseUserId(pdu.content['join_authorised_via_users_server']);
    if (!live.rules.allowsRestricted || vouching === null || serverNameOf(vouching) !== serverName) return pdu.json;
    vouchingOf(await restrictedJoins.judge(live, pdu.sender));
    if (!(await restrictedJoins.mayVouch(live, vouching))) throw unableToGrant();
    return signEvent(live.rules, pdu.json, serverName, signingKey);
  }

  async #checked(rules: RoomRules, json: JsonObject, roomId: RoomId): Promise<Pdu> {
    const [checked] = await this.#deps.eventChecks.check(rules, [json], { roomId });
    if (checked === undefined || 'refusal' in checked) {
      throw invalidParam(`The event is not good: ${checked?.refusal ?? 'it was not checked'}.`);
    }
    return checked.pdu;
  }
}

/** Who vouches for a join; null where nobody need. Throws where the user does not come in by that. */
function vouchingOf(judged: Awaited<ReturnType<RestrictedJoins['judge']>>): UserId | null {
  switch (judged.kind) {
    case 'open':
      return null;
    case 'vouched':
      return judged.by;
    case 'unqualified':
      throw forbidden('The user is in none of the rooms whose members may join this one.');
    case 'unknown':
      throw badRequest(
        'M_UNABLE_TO_AUTHORISE_JOIN',
        'This server is not in all of the rooms whose members may join this one.',
      );
    case 'nobody':
      throw unableToGrant();
  }
}

const unableToGrant = (): MatrixError =>
  badRequest('M_UNABLE_TO_GRANT_JOIN', 'No user of this server may let others into the room.');

/** Refuses an event that is not what it was sent as. */
function checkShape(
  pdu: Pdu,
  sent: { readonly roomId: RoomId; readonly eventId: EventId; readonly wish: Wish; readonly origin: ServerName },
): void {
  const { roomId, eventId, wish, origin } = sent;
  // Threat A5: neither another room's event, nor one under another name.
  if (pdu.roomId !== roomId) throw invalidParam('The event is of another room than the path.');
  if (pdu.eventId !== eventId) throw invalidParam('The event has another ID than the path.');
  if (pdu.type !== 'm.room.member') throw invalidParam('The event is no member event.');
  if (pdu.content['membership'] !== wish) throw invalidParam(`The membership of the event must be ${wish}.`);
  if (serverNameOf(pdu.sender) !== origin) throw invalidParam('The sender is not a user of your server.');
  if (pdu.stateKey !== pdu.sender) throw invalidParam('The state key must be the sender.');
}
