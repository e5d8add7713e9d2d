/**
 * How a member event of ours for a room that this server is not in comes to be: another server offers a template, and we
 * build the event.
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { FEDERATION } from '../contracts/federation/index.ts';
import { type EventId, isCreateHashRoomId, isRoomVersionName, type ServerName } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { type MembershipWish, readTemplate } from '../core/membership-template.ts';
import type { Pdu } from '../core/pdu.ts';
import { buildPdu } from '../core/pdu-format.ts';
import { findRoomRules, ROOM_RULES, type RoomRules } from '../core/room-versions.ts';
import type { SigningKey } from '../core/signing.ts';
import type { Clock } from '../kit/clock.ts';
import type { Random } from '../kit/random.ts';
import type { FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';

export type HandshakeDeps = {
  readonly remote: Pick<FederationClient, 'call'>;
  readonly serverName: ServerName;
  readonly signingKey: SigningKey;
  readonly clock: Clock;
  readonly random: Random;
};

/** A wish, and what else the member event shall say. */
export type Wish = MembershipWish & { readonly content: JsonObject };

/** Our event, ready to be sent to the server whose template it follows. */
export type Offer = { readonly rules: RoomRules; readonly event: Pdu; readonly needsTheirSignature: boolean };

const ALL_VERSIONS: readonly string[] = [...ROOM_RULES.keys()];
const KNOCK_VERSIONS = ALL_VERSIONS.filter((version) => ROOM_RULES.get(version)!.allowsKnock);
/** A room whose server does not tell its version is of version 1 or 2, which look the same from outside. */
const UNTOLD_VERSION = '1';
const MAKE_TIMEOUT_MS = 20_000;

/**
 * Asks a server for a template and builds the event. `known` are the rules of the room where we know them for sure.
 *
 * @throws MatrixError what the server refused, or RemoteError `bad-reply` for a template of something else (threat B1)
 */
export async function prepareMember(
  deps: HandshakeDeps,
  resident: ServerName,
  wish: Wish,
  known: RoomRules | null,
): Promise<Offer> {
  const { serverName, signingKey, clock, random } = deps;
  const { roomId, userId, membership, content } = wish;
  const reply = await askForTemplate(deps, resident, wish);
  const rules = rulesOf(resident, wish, reply.room_version ?? known?.version ?? UNTOLD_VERSION);
  if (known !== null && rules !== known) {
    throw badTemplate(resident, `the room is of version ${known.version}, not ${rules.version}`);
  }
  const read = readTemplate(rules, wish, resident, reply.event);
  if (!read.allowed) throw badTemplate(resident, read.reason);
  const { authorisingUser, ...place } = read.template;
  const { pdu: event } = buildPdu(
    rules,
    {
      ...place,
      roomId,
      type: 'm.room.member',
      stateKey: userId,
      sender: userId,
      content: {
        ...content,
        membership,
        ...(authorisingUser === null ? {} : { join_authorised_via_users_server: authorisingUser }),
      },
      redacts: null,
      originServerTs: clock.now(),
      // In these room versions the sender chooses the ID.
      ...(rules.eventIdFormat === 'in-event' ? { eventId: `$${random.text(18)}:${serverName}` as EventId } : {}),
    },
    serverName,
    signingKey,
  );
  return { rules, event, needsTheirSignature: authorisingUser !== null };
}

function askForTemplate(
  { remote }: HandshakeDeps,
  resident: ServerName,
  { roomId, userId, membership }: Wish,
): Promise<{ event: JsonObject; room_version?: string }> {
  const params = { roomId, userId };
  // A user waits for it: a server that did not answer a while ago is asked again.
  const options = { timeoutMs: MAKE_TIMEOUT_MS, ignoresBackOff: true };
  switch (membership) {
    case 'join':
      return remote.call(resident, FEDERATION.makeJoin, { params, query: { ver: [...ALL_VERSIONS] } }, options);
    case 'knock':
      return remote.call(resident, FEDERATION.makeKnock, { params, query: { ver: KNOCK_VERSIONS } }, options);
    case 'leave':
      return remote.call(resident, FEDERATION.makeLeave, { params }, options);
  }
}

function rulesOf(resident: ServerName, { roomId, membership }: Wish, version: string): RoomRules {
  if (!isRoomVersionName(version)) throw badTemplate(resident, 'its room version is no name of one');
  const rules = findRoomRules(version);
  if (rules === undefined || (membership === 'knock' && !rules.allowsKnock)) {
    // As if the server had looked at what we know, which older ones do not.
    throw new RemoteError('refused', `The room is of version ${version}, which this server does not know.`, {
      remoteStatus: 400,
      remoteBody: { errcode: 'M_INCOMPATIBLE_ROOM_VERSION', room_version: version },
    });
  }
  if (rules.roomIdIsCreateHash !== isCreateHashRoomId(roomId)) {
    throw badTemplate(resident, `a room of version ${version} has no such ID`);
  }
  return rules;
}

const badTemplate = (resident: ServerName, reason: string): RemoteError =>
  new RemoteError('bad-reply', `${resident} offered an event that was not asked for: ${reason}.`);
