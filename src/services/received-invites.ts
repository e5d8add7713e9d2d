/**
 * Invites of our users by users of other servers: whether we take them, and our signature under them.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */
import { forbidden, invalidParam, MatrixError, tooLarge } from '../core/errors.ts';
import { type EventId, parseUserId, type RoomId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { canonicalJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { pduFromStored, readPdu } from '../core/pdu-format.ts';
import { findRoomRules, type RoomRules } from '../core/room-versions.ts';
import { type SigningKey, signEvent } from '../core/signing.ts';
import { readStrippedState } from '../core/stripped-state.ts';
import type { EventChecks } from '../remote/event-checks.ts';
import type { PolicySignatures } from '../rooms/policy-signatures.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Accounts } from './accounts.ts';
import type { Limits } from './asker.ts';
import type { Membership } from './membership.ts';
import type { ResidentRooms } from './resident-rooms.ts';

export type ReceivedInvitesDeps = {
  readonly rooms: Rooms;
  readonly policies: PolicySignatures;
  readonly accounts: Accounts;
  readonly membership: Membership;
  readonly residentRooms: ResidentRooms;
  readonly eventChecks: Pick<EventChecks, 'check'>;
  readonly limits: Limits;
  readonly serverName: ServerName;
  readonly signingKey: SigningKey;
  /** Nobody but admins may invite on this server (`block_non_admin_invites`). */
  readonly refusesAll: boolean;
};

export type SentInvite = {
  readonly roomId: RoomId;
  readonly eventId: EventId;
  /** null where the server that invites cannot say it: then the room is of version 1 or 2, which look the same. */
  readonly version: string | null;
  readonly wire: JsonObject;
  readonly roomState: JsonValue | undefined;
};

/** Far more than a room is recognized by (threat B14). */
const STATE_EVENTS_MAX = 100;
const STATE_BYTES_MAX = 256 * 1024;

export class ReceivedInvites {
  readonly #deps: ReceivedInvitesDeps;

  constructor(deps: ReceivedInvitesDeps) {
    this.#deps = deps;
  }

  /**
   * Takes an invite, and gives it with our signature. One that came before is signed again.
   *
   * @throws MatrixError 400 M_INCOMPATIBLE_ROOM_VERSION for a room version that we do not know, M_INVALID_PARAM for what
   *   is no invite of a user of ours by one of theirs, or is not signed; 403 where the user or this server takes no such
   *   invite; 413 and 429 past the limits
   */
  async receive(origin: ServerName, sent: SentInvite): Promise<JsonObject> {
    const { rooms, policies, limits, serverName, signingKey, refusesAll } = this.#deps;
    const { roomId } = sent;
    const live = await rooms.find(roomId);
    const rules = rulesOf(sent.version ?? live?.rules.version ?? oldVersionOf(sent.roomState));
    // What invites told before is no more sure than what this one tells.
    if (live !== null && live.snapshotNo !== null && live.rules !== rules) {
      throw invalidParam(`The room is of version ${live.rules.version}.`);
    }
    const { pdu, target } = this.#read(origin, rules, sent);
    checkSize(sent.roomState);
    if (live?.isServerJoined) {
      await this.#deps.residentRooms.checkAcl(origin, live);
      if (live.membershipOf(target) === 'join') throw forbidden('The user is in the room already.');
    }
    if (refusesAll) throw forbidden('The users of this server take no invites.');
    await this.#checkTarget(target);
    limits.spend('invitesPerRoom', roomId);
    limits.spend('invitesPerUser', target);
    limits.spend('invitesPerIssuer', pdu.sender);
    const [checked] = await this.#deps.eventChecks.check(rules, [pdu.json], { roomId });
    if (checked === undefined || 'refusal' in checked) {
      throw invalidParam(`The event is not good: ${checked?.refusal ?? 'it was not checked'}.`);
    }
    const strippedState = await this.#stateOf(rules, roomId, sent.roomState);
    const shown = live?.isServerJoined ? await policies.sign(live, checked.pdu) : checked.pdu;
    const json = signEvent(rules, shown.json, serverName, signingKey);
    const signed = pduFromStored(rules, pdu.eventId, json);
    const isOutside = await rooms.receiveOutOfBand({ roomId, rules, pdu: signed, strippedState });
    if (!isOutside) await this.#append(roomId, signed);
    return json;
  }

  #read(origin: ServerName, rules: RoomRules, sent: SentInvite): { pdu: Pdu; target: UserId } {
    const { roomId, eventId, wire } = sent;
    const read = readPdu(rules, wire);
    if (!read.allowed) throw invalidParam(`The event cannot be read: ${read.reason}.`);
    const { pdu } = read;
    // Threat A5: neither another room's event, nor one under another name.
    if (pdu.roomId !== roomId) throw invalidParam('The event is of another room than the path.');
    if (pdu.eventId !== eventId) throw invalidParam('The event has another ID than the path.');
    if (pdu.type !== 'm.room.member') throw invalidParam('The event is no member event.');
    if (pdu.content['membership'] !== 'invite') throw invalidParam('The membership of the event must be invite.');
    if (serverNameOf(pdu.sender) !== origin) throw invalidParam('The sender is not a user of your server.');
    if (!read.contentHashMatches) throw invalidParam('The content hash of the event is wrong.');
    const target = parseUserId(pdu.stateKey);
    if (target === null || serverNameOf(target) !== this.#deps.serverName) {
      throw invalidParam('The state key is not a user of this server.');
    }
    return { pdu, target };
  }

  async #checkTarget(target: UserId): Promise<void> {
    const { accounts, membership } = this.#deps;
    const user = await accounts.find(target);
    if (user === undefined || user.isDeactivated) throw forbidden('This user takes no invites.');
    await membership.checkWanted([target]);
  }

  /** Where we are in the room it comes as any other event; where we lack what it follows, a transaction brings it later. */
  async #append(roomId: RoomId, pdu: Pdu): Promise<void> {
    const [verdict] = await this.#deps.rooms.append(roomId, [{ pdu, kind: 'live' }]);
    const { standing, reason } = verdict!;
    if (standing === 'rejected' || standing === 'soft-failed') throw forbidden(`This is not allowed: ${reason}.`);
  }

  /**
   * What is told of the room. Whole events must be of this room, and those that are not signed as they must be are left
   * out. Where the create event names the room, it must be there and all must be whole (MSC4311); servers of older rooms
   * may not do that yet.
   */
  async #stateOf(rules: RoomRules, roomId: RoomId, told: JsonValue | undefined): Promise<JsonObject[]> {
    const events = Array.isArray(told) ? told.filter(isJsonObject) : [];
    const whole: JsonObject[] = [];
    for (const event of events) {
      if (!isWhole(event)) {
        if (rules.roomIdIsCreateHash) throw invalidParam('invite_room_state: its events must be whole.');
        continue;
      }
      const read = readPdu(rules, event);
      if (!read.allowed) throw invalidParam(`invite_room_state: an event cannot be read: ${read.reason}.`);
      if (read.pdu.roomId !== roomId) throw invalidParam('invite_room_state: an event is of another room.');
      whole.push(event);
    }
    if (rules.roomIdIsCreateHash && !whole.some((event) => event['type'] === 'm.room.create')) {
      throw invalidParam('invite_room_state: the create event is missing.');
    }
    const checked = await this.#deps.eventChecks.check(rules, whole, { roomId });
    const isBad = new Set(whole.filter((_, index) => 'refusal' in checked[index]!));
    return readStrippedState(
      rules,
      roomId,
      events.filter((event) => !isBad.has(event)),
    );
  }
}

/** Whether it has the form in which servers exchange events, and not the stripped one. */
const isWhole = (event: JsonObject): boolean => event['hashes'] !== undefined && event['signatures'] !== undefined;

/** Rooms whose invites may come without a version. */
const VERSIONS_WITHOUT_WORD: ReadonlySet<string> = new Set(['1', '2']);

/**
 * The version of a room that is not told: as the create event beside the invite says, 1 where there is none.
 *
 * @throws MatrixError 400 M_INVALID_PARAM for another than 1 and 2: of such a room the version must be told
 */
function oldVersionOf(roomState: JsonValue | undefined): string {
  const events = Array.isArray(roomState) ? roomState.filter(isJsonObject) : [];
  const create = events.find((event) => event['type'] === 'm.room.create' && (event['state_key'] ?? '') === '');
  const content = isJsonObject(create?.['content']) ? create['content'] : {};
  const version = typeof content['room_version'] === 'string' ? content['room_version'] : '1';
  if (VERSIONS_WITHOUT_WORD.has(version)) return version;
  throw invalidParam(
    `An invite into a room of version ${version.slice(0, 32)} must say so: use the second version of this call.`,
  );
}

function rulesOf(version: string): RoomRules {
  const rules = findRoomRules(version);
  if (rules !== undefined) return rules;
  const message = 'This server does not know the version of the room.';
  throw new MatrixError(400, 'M_INCOMPATIBLE_ROOM_VERSION', message, { room_version: version });
}

function checkSize(told: JsonValue | undefined): void {
  if (told === undefined || told === null) return;
  if (!Array.isArray(told)) throw invalidParam('invite_room_state: must be a list.');
  const isTooLarge =
    told.length > STATE_EVENTS_MAX || Buffer.byteLength(canonicalJson(told, { strict: false })) > STATE_BYTES_MAX;
  if (isTooLarge) throw tooLarge('invite_room_state: it is more than an invite needs.');
}
