/**
 * Invites of users of other servers: their server signs the event before it comes into the room.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */
import { FEDERATION } from '../contracts/federation/index.ts';
import { badRequest, forbidden, type MatrixError } from '../core/errors.ts';
import { type EventId, type ServerName, serverNameOf, type UserId } from '../core/ids.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { pduFromStored } from '../core/pdu-format.ts';
import type { RoomRules } from '../core/room-versions.ts';
import { signaturesOf, verifyEventSignature } from '../core/signing.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';
import type { PublicKeys } from '../remote/request-guard.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { PolicySignatures } from '../rooms/policy-signatures.ts';
import type { PrejoinState } from '../rooms/prejoin-state.ts';
import type { RoomReader } from '../rooms/read.ts';
import type { Rooms } from '../rooms/rooms.ts';

export type RemoteInvitesDeps = {
  readonly rooms: Rooms;
  readonly policies: PolicySignatures;
  readonly reader: RoomReader;
  readonly prejoinState: PrejoinState;
  readonly remote: Pick<FederationClient, 'call'>;
  readonly keys: PublicKeys;
};

/** An invite that a user of ours wants sent. */
export type WantedInvite = { readonly sender: UserId; readonly target: UserId; readonly content: JsonObject };

/** A user waits for the answer. */
const TIMEOUT_MS = 30_000;
/** Rooms that a server knows whose invites have no version. */
const VERSIONS_OF_V1: ReadonlySet<string> = new Set(['1', '2']);

export class RemoteInvites {
  readonly #deps: RemoteInvitesDeps;

  constructor(deps: RemoteInvitesDeps) {
    this.#deps = deps;
  }

  /**
   * Invites a user of another server: builds the event, has it signed there, and takes it in.
   *
   * @throws MatrixError 403 where the room's rules or the other server refuse it, 400 M_UNSUPPORTED_ROOM_VERSION where
   *   that server does not know the room's version, 502 where it does not answer as it must
   */
  async send(live: LiveRoom, { sender, target, content }: WantedInvite): Promise<EventId> {
    const { rooms, policies, prejoinState } = this.#deps;
    if (!(await this.mayReach(live))) throw forbidden('The room is for users of one server only.');
    const destination = serverNameOf(target);
    const built = await rooms.build(live.roomId, { type: 'm.room.member', stateKey: target, sender, content });
    const pdu = await policies.sign(live, built);
    const told = await this.#ask(destination, live.rules, pdu, await prejoinState.of(live, sender));
    const signed = await this.#withTheirs(destination, live.rules, pdu, told);
    const [verdict] = await rooms.append(live.roomId, [{ pdu: signed, kind: 'live', isForUsToTell: true }]);
    // The room may have gone on meanwhile: the sender may be put out of it.
    if (verdict!.standing !== 'ok') throw forbidden(`This is not allowed: ${verdict!.reason}.`);
    return signed.eventId;
  }

  /** Whether users of other servers can come into a room at all. */
  async mayReach(live: LiveRoom): Promise<boolean> {
    const create = await this.#deps.reader.stateEvent(live, 'm.room.create', '');
    return create?.pdu.content['m.federate'] !== false;
  }

  /** The event as the other server gives it back. */
  async #ask(
    destination: ServerName,
    rules: RoomRules,
    { roomId, eventId, json }: Pdu,
    roomState: readonly JsonObject[],
  ): Promise<JsonValue | undefined> {
    const { remote } = this.#deps;
    const params = { roomId, eventId };
    const options = { timeoutMs: TIMEOUT_MS, ignoresBackOff: true };
    const body = { event: json, invite_room_state: [...roomState], room_version: rules.version };
    try {
      return (await remote.call(destination, FEDERATION.sendInviteV2, { params, body }, options)).event;
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      if (!isUnknownThere(error)) throw refusalOf(error);
      if (!VERSIONS_OF_V1.has(rules.version)) throw unsupported(destination, rules);
    }
    const old = { ...json, unsigned: { invite_room_state: [...roomState] } };
    try {
      const [, answer] = await remote.call(destination, FEDERATION.sendInviteV1, { params, body: old }, options);
      return isJsonObject(answer) ? answer['event'] : undefined;
    } catch (error) {
      throw error instanceof RemoteError ? refusalOf(error) : error;
    }
  }

  /** Our event with the signatures of the other server. Of what it gave back nothing else is taken (threat B1). */
  async #withTheirs(destination: ServerName, rules: RoomRules, pdu: Pdu, told: JsonValue | undefined): Promise<Pdu> {
    const signatures: Record<string, string> = {};
    const atMs = rules.enforcesKeyValidity ? pdu.originServerTs : null;
    for (const [keyId, signature] of isJsonObject(told) ? signaturesOf(told, destination) : []) {
      const signed = withSignatures(pdu.json, destination, { [keyId]: signature });
      const publicKey = await this.#deps.keys.publicKey(destination, keyId, atMs);
      const isGood = publicKey !== null && verifyEventSignature(rules, signed, destination, keyId, publicKey);
      if (isGood) signatures[keyId] = signature;
    }
    if (Object.keys(signatures).length === 0) {
      throw new RemoteError('bad-reply', `${destination} did not sign the invite.`);
    }
    return pduFromStored(rules, pdu.eventId, withSignatures(pdu.json, destination, signatures));
  }
}

const withSignatures = (json: JsonObject, server: ServerName, signatures: JsonObject): JsonObject => ({
  ...json,
  signatures: { ...(json['signatures'] as JsonObject), [server]: signatures },
});

/** Whether the other server does not know the second version of the call. */
const isUnknownThere = (error: RemoteError): boolean =>
  (error.remoteStatus === 400 || error.remoteStatus === 404 || error.remoteStatus === 405) &&
  (error.remoteErrcode === null || error.remoteErrcode === 'M_UNRECOGNIZED');

/** What a client is told. A fault in what we sent is nothing that the client could mend. */
function refusalOf(error: RemoteError): MatrixError {
  switch (error.remoteErrcode) {
    case 'M_INCOMPATIBLE_ROOM_VERSION':
    case 'M_UNSUPPORTED_ROOM_VERSION':
      return badRequest('M_UNSUPPORTED_ROOM_VERSION', 'The server of the user does not know the version of the room.');
    case 'M_FORBIDDEN':
    case 'M_INVITE_BLOCKED':
    case 'M_LIMIT_EXCEEDED':
      return error.passedOn();
    default:
      return error;
  }
}

const unsupported = (destination: ServerName, rules: RoomRules): MatrixError =>
  badRequest('M_UNSUPPORTED_ROOM_VERSION', `${destination} knows no rooms of version ${rules.version}.`);
