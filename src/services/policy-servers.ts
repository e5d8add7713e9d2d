/**
 * Policy servers: each event of a room that has one is shown to it, ours before they are sent, those of others before
 * they are seen. What it does not sign is refused, or soft-failed. It gets seconds, and whatever it says it can only
 * hold events back: it has no word in what a room's state is (threat B13).
 * Spec v1.19: https://spec.matrix.org/v1.19/server-server-api/#policy-servers
 */
import { askPolicyServerToSign, askPolicyServerToSignUnstable } from '../contracts/federation/room-policy.ts';
import { forbidden, MatrixError } from '../core/errors.ts';
import type { ServerName } from '../core/ids.ts';
import { isJsonObject, type JsonObject } from '../core/json-value.ts';
import type { Pdu } from '../core/pdu.ts';
import { pduFromStored } from '../core/pdu-format.ts';
import {
  isSignedByPolicyServer,
  namesPolicyServer,
  POLICY_EVENT_TYPES,
  POLICY_KEY_ID,
  type PolicyServer,
  readPolicyServer,
} from '../core/policy-server.ts';
import type { Clock } from '../kit/clock.ts';
import type { Log } from '../kit/log.ts';
import { KeyedQueue, QueueFull } from '../kit/queue.ts';
import type { CallOptions, FederationClient } from '../remote/federation-client.ts';
import { RemoteError } from '../remote/remote-error.ts';
import type { Draft } from '../rooms/append.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { PolicySignatures } from '../rooms/policy-signatures.ts';

export type PolicyServersDeps = {
  readonly events: EventStore;
  readonly client: Pick<FederationClient, 'call'>;
  readonly serverName: ServerName;
  readonly clock: Clock;
  readonly log: Log;
};

/** What a policy server makes of an event that came in: signed, where it was asked for that; or why it is held back. */
export type PolicyVerdict = { readonly pdu: Pdu; readonly advisedAgainst: string | null };

/** A user waits for it. Some look at media first. */
const SIGN_MS = 20_000;
/** For all events that come in together: what it has not signed by then is held back. */
const JUDGE_MS = 15_000;
/** How many events one policy server is shown at a time, and how many wait. */
const AT_ONCE = 10;
const WAITING_MAX = 500;

export class PolicyServers implements PolicySignatures {
  readonly #deps: PolicyServersDeps;
  readonly #lanes = new KeyedQueue({ atOnce: AT_ONCE, waitingMax: WAITING_MAX });

  constructor(deps: PolicyServersDeps) {
    this.#deps = deps;
  }

  /** Whether the room has a policy server now. */
  async isUsedIn(live: LiveRoom): Promise<boolean> {
    return (await this.#inUse(live)) !== null;
  }

  async isNeeded(live: LiveRoom, event: Pick<Draft, 'type' | 'stateKey'>): Promise<boolean> {
    return !namesPolicyServer(event) && (await this.#inUse(live)) !== null;
  }

  /**
   * The event with the signature of the room's policy server; as it is where the room has none.
   *
   * @throws MatrixError with the word of the policy server where it refuses, 403 where its signature is not good, 502 where
   *   it does not answer in time
   */
  async sign(live: LiveRoom, pdu: Pdu): Promise<Pdu> {
    const policy = namesPolicyServer(pdu) ? null : await this.#inUse(live);
    if (policy === null || isSignedByPolicyServer(live.rules, pdu.json, policy)) return pdu;
    try {
      // A user waits for it: a server that did not answer a while ago is asked again.
      return await this.#within(SIGN_MS, (signal) => this.#ask(live, policy, pdu, { signal, ignoresBackOff: true }));
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
      this.#deps.log.info('The policy server of a room did not sign an event.', {
        roomId: live.roomId,
        type: pdu.type,
        policyServer: policy.serverName,
        reason: error.message,
      });
      throw refusalOf(policy, error);
    }
  }

  /** What the room's policy server makes of events that came in, in their order. All within seconds. */
  async judge(live: LiveRoom, pdus: readonly Pdu[]): Promise<PolicyVerdict[]> {
    const policy = await this.#inUse(live);
    if (policy === null) return pdus.map(recommended);
    return this.#within(JUDGE_MS, (signal) => Promise.all(pdus.map((pdu) => this.#judge(live, policy, pdu, signal))));
  }

  async #judge(live: LiveRoom, policy: PolicyServer, pdu: Pdu, signal: AbortSignal): Promise<PolicyVerdict> {
    if (namesPolicyServer(pdu) || isSignedByPolicyServer(live.rules, pdu.json, policy)) return recommended(pdu);
    try {
      return recommended(await this.#ask(live, policy, pdu, { signal }));
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
      return { pdu, advisedAgainst: `the policy server ${policy.serverName} did not sign it: ${error.message}` };
    }
  }

  /**
   * The policy server that the room uses now: its state names one, and a user of that server is in the room. We are none:
   * a room that names us has, as far as we go, no policy server.
   */
  async #inUse(live: LiveRoom): Promise<PolicyServer | null> {
    const eventNo = POLICY_EVENT_TYPES.map((type) => live.currentNo(type, '')).find((no) => no !== null);
    if (eventNo === undefined || eventNo === null) return null;
    const { pdu, row } = await this.#deps.events.get(eventNo);
    const policy = row.standing === 'rejected' ? null : readPolicyServer(pdu.type, pdu.content);
    if (policy === null || policy.serverName === this.#deps.serverName) return null;
    return live.hasServer(policy.serverName) ? policy : null;
  }

  /** Shows it an event. Of what it answers nothing but its own signature by its own key is taken. */
  async #ask(live: LiveRoom, policy: PolicyServer, pdu: Pdu, options: CallOptions): Promise<Pdu> {
    const { serverName } = policy;
    try {
      await this.#lanes.enter(serverName, options.signal);
    } catch (error) {
      if (!(error instanceof QueueFull)) throw error;
      throw new RemoteError('unreachable', `Too many events wait for ${serverName}.`);
    }
    let told: Record<string, Record<string, string>>;
    try {
      told = await this.#call(serverName, pdu, options);
    } finally {
      this.#lanes.leave(serverName);
    }
    const signature = Object.hasOwn(told, serverName) ? told[serverName]![POLICY_KEY_ID] : undefined;
    // Servers of the proposal's time refuse like this.
    if (signature === undefined) throw forbidden(`${serverName} refused to sign the event.`);
    const json = withSignature(pdu.json, serverName, signature);
    if (!isSignedByPolicyServer(live.rules, json, policy)) {
      throw new RemoteError(
        'bad-reply',
        `The signature of ${serverName} is not good under the key that the room names.`,
      );
    }
    return pduFromStored(live.rules, pdu.eventId, json);
  }

  /** By the path of the specification, and by that of the proposal where it does not know the former. */
  async #call(
    server: ServerName,
    { json }: Pdu,
    options: CallOptions,
  ): Promise<Record<string, Record<string, string>>> {
    const { client } = this.#deps;
    try {
      return await client.call(server, askPolicyServerToSign, { body: json }, options);
    } catch (error) {
      if (!(error instanceof RemoteError) || !isUnknownThere(error)) throw error;
      return client.call(server, askPolicyServerToSignUnstable, { body: json }, options);
    }
  }

  async #within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = new AbortController();
    const timer = this.#deps.clock.after(ms, () => {
      deadline.abort(new RemoteError('unreachable', `It took longer than ${ms / 1000} seconds.`));
    });
    try {
      return await work(deadline.signal);
    } finally {
      timer.cancel();
    }
  }
}

const recommended = (pdu: Pdu): PolicyVerdict => ({ pdu, advisedAgainst: null });

/** One signature more: those of the same server by its other keys stay. */
function withSignature(json: JsonObject, serverName: ServerName, signature: string): JsonObject {
  const signatures = isJsonObject(json['signatures']) ? json['signatures'] : {};
  const own = signatures[serverName];
  const ofServer = { ...(isJsonObject(own) ? own : {}), [POLICY_KEY_ID]: signature };
  return { ...json, signatures: { ...signatures, [serverName]: ofServer } };
}

const isUnknownThere = (error: RemoteError): boolean =>
  (error.remoteStatus === 404 || error.remoteStatus === 405) &&
  (error.remoteErrcode === null || error.remoteErrcode === 'M_UNRECOGNIZED');

/** What a client is told: the sentence of the policy server. Most of its codes would be about something else there. */
function refusalOf({ serverName }: PolicyServer, error: MatrixError): MatrixError {
  if (!(error instanceof RemoteError)) return error;
  const { fault, remoteStatus, retryAfterMs } = error;
  if (fault === 'refused' && remoteStatus === 429) {
    const message = `The policy server of the room, ${serverName}, is asked too much.`;
    return new MatrixError(429, 'M_LIMIT_EXCEEDED', message, { retry_after_ms: retryAfterMs ?? 5000 });
  }
  if (fault === 'refused' && remoteStatus !== null && remoteStatus < 500) {
    return forbidden(error.passedOn().message);
  }
  if (fault === 'blocked') return error;
  return new MatrixError(502, 'M_UNKNOWN', `The policy server of the room could not be asked: ${error.message}`);
}
