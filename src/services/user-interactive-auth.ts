/**
 * User-interactive authentication: before some deeds a user proves again who it is, in one or more stages.
 * Spec v1.19: https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
 */
import { createHmac } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { badJson, forbidden, MatrixError } from '../core/errors.ts';
import type { UserId } from '../core/ids.ts';
import { canonicalJson } from '../core/json.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../core/json-value.ts';
import { RawReply, type Requester, type RequestFacts } from '../http/endpoint.ts';
import type { Clock } from '../kit/clock.ts';
import { atMost } from '../kit/lru-bound.ts';
import type { Random } from '../kit/random.ts';
import type { Accounts } from './accounts.ts';

/** One way to prove something. */
export type Stage = {
  /** What the client must know to do it. */
  readonly params?: JsonObject;
  /** Throws MatrixError where the proof is none; may give a note on it, for who asked for the stage. */
  check(auth: JsonObject, prover: Prover): Promise<string | undefined>;
};

/** Who proves something: null where nobody is logged in; and from where. */
export type Prover = { readonly userId: UserId | null; readonly ip: string };

/** A proof that is good, but another user's: to ask for a better one would be asking for theirs. */
class ProofOfAnother extends MatrixError {
  constructor() {
    super(403, 'M_FORBIDDEN', 'The proof is that of another user.');
  }
}

/** Alternatives; all stages of one of them must be done. */
export type Flows = readonly (readonly string[])[];

export type UserInteractiveAuthDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly stages: Readonly<Record<string, Stage>>;
  /** For how long a proof serves further deeds with the same token; 0: for one deed. */
  readonly proofLifetimeMs: number;
};

export type CheckOptions = {
  /** Gets what the stages noted, by stage, once all is proved. */
  readonly notes?: Map<string, string>;
  /** A proof that was given for another deed does not do: the deed closes an account, or gives it to somebody. */
  readonly isGrave?: boolean;
};

/** What a session was begun for: it is good for nothing else (threat D9). */
type UiaSession = {
  readonly userId: UserId | null;
  readonly method: string;
  readonly path: string;
  readonly bodyMac: string;
  readonly flows: Flows;
  readonly completed: Set<string>;
  /** What stages noted, by stage. */
  readonly notes: Map<string, string>;
};

type KeptSession = UiaSession & { readonly endsMs: number };

/** What a page may show of a session. */
export type SessionFacts = Pick<UiaSession, 'userId' | 'method' | 'path'> & {
  readonly params: JsonObject;
  readonly isCompleted: boolean;
};

const unknownSession = (): MatrixError => forbidden('The authentication session is not known or has expired.');

const SESSION_LIFETIME_MS = 15 * 60_000;
const SESSIONS_MAX = 10_000;
const SESSION_ID_LENGTH = 24;

export class UserInteractiveAuth {
  readonly #deps: UserInteractiveAuthDeps;
  readonly #sessions = new LRUCache<string, KeptSession>(atMost(SESSIONS_MAX));
  /** Apart, so that strangers who begin many push out no user's session. */
  readonly #sessionsOfNobody = new LRUCache<string, KeptSession>(atMost(SESSIONS_MAX));
  /** When each token's user last proved itself, by the token's number. */
  readonly #proofs = new LRUCache<number, number>(atMost(SESSIONS_MAX));
  readonly #macKey: Buffer;

  constructor(deps: UserInteractiveAuthDeps) {
    this.#deps = deps;
    // Bodies hold passwords: what is kept to recognize one must not let anybody guess it.
    this.#macKey = deps.random.bytes(32);
  }

  /**
   * Checks what a request proves.
   *
   * @returns null where all is proved; else what to answer: 401 with the flows
   * @throws MatrixError 403 where the session was begun for something else, or the proof is another user's
   */
  async check(
    request: RequestFacts,
    user: Requester | null,
    body: Readonly<Record<string, unknown>>,
    flows: Flows,
    { notes, isGrave = false }: CheckOptions = {},
  ): Promise<RawReply | null> {
    if (user !== null && !isGrave && this.#provedLately(user)) return null;
    const { auth, ...rest } = body;
    const purpose: UiaSession = {
      userId: user?.userId ?? null,
      method: request.method,
      path: request.url.split('?', 1)[0] ?? '',
      // The router parsed the body, so it is JSON. At a registration there is nobody yet whom a session could be turned
      // against, and many clients ask with an empty body first.
      bodyMac: user === null ? '' : this.#macOf(rest as JsonObject),
      flows,
      completed: new Set(),
      notes: new Map(),
    };
    if (auth === undefined || auth === null) return this.#challenge(this.#begin(purpose), purpose);
    if (!isJsonObject(auth as JsonValue)) throw badJson('auth must be an object.');
    // Checked just above.
    const given = auth as JsonObject;

    let id: string;
    let session = purpose;
    if (typeof given['session'] === 'string') {
      id = given['session'];
      session = this.#resume(id, purpose);
    } else {
      id = this.#begin(purpose);
    }
    const type = given['type'];
    if (typeof type === 'string') {
      try {
        await this.#prove(session, type, given, request.ip);
      } catch (error) {
        if (!(error instanceof MatrixError) || error instanceof ProofOfAnother || isNoVerdict(error)) throw error;
        return this.#challenge(id, session, error);
      }
    }
    if (!session.flows.some((flow) => flow.every((each) => session.completed.has(each)))) {
      return this.#challenge(id, session);
    }
    // Whoever comes second with the same session, while the first was still being checked, comes too late.
    if (!this.#end(id)) throw unknownSession();
    if (notes !== undefined) for (const [stage, note] of session.notes) notes.set(stage, note);
    if (user !== null) this.#proofs.set(user.tokenId, this.#deps.clock.now());
    return null;
  }

  /** What a page for one stage of a session shows; null where there is no such session, or it does not ask for that. */
  find(id: string, type: string): SessionFacts | null {
    const session = this.#live(id);
    if (session === null || !session.flows.some((flow) => flow.includes(type))) return null;
    const { userId, method, path, completed } = session;
    const params = this.#deps.stages[type]?.params ?? {};
    return { userId, method, path, params, isCompleted: completed.has(type) };
  }

  /**
   * Does one stage of a session outside of the request that began it; that request may then come without the stage.
   *
   * @throws MatrixError 403 where there is no such session, and as the stage does where the proof is none
   */
  async complete(id: string, type: string, proof: JsonObject, ip: string): Promise<void> {
    const session = this.#live(id);
    if (session === null) throw unknownSession();
    await this.#prove(session, type, proof, ip);
  }

  async #prove(session: UiaSession, type: string, proof: JsonObject, ip: string): Promise<void> {
    const stage = session.flows.some((flow) => flow.includes(type)) ? this.#deps.stages[type] : undefined;
    if (stage === undefined) throw new MatrixError(401, 'M_UNRECOGNIZED', `${type} is not asked here.`);
    const note = await stage.check(proof, { userId: session.userId, ip });
    if (note !== undefined) session.notes.set(type, note);
    session.completed.add(type);
  }

  #provedLately({ tokenId }: Requester): boolean {
    const { clock, proofLifetimeMs } = this.#deps;
    const provedMs = this.#proofs.get(tokenId);
    return provedMs !== undefined && clock.now() - provedMs < proofLifetimeMs;
  }

  #begin(purpose: UiaSession): string {
    const id = this.#deps.random.text(SESSION_ID_LENGTH);
    const sessions = purpose.userId === null ? this.#sessionsOfNobody : this.#sessions;
    sessions.set(id, { ...purpose, endsMs: this.#deps.clock.now() + SESSION_LIFETIME_MS });
    return id;
  }

  #live(id: string): UiaSession | null {
    const session = this.#sessions.get(id) ?? this.#sessionsOfNobody.get(id);
    return session === undefined || this.#deps.clock.now() >= session.endsMs ? null : session;
  }

  #end(id: string): boolean {
    return this.#sessions.delete(id) || this.#sessionsOfNobody.delete(id);
  }

  #resume(id: string, purpose: UiaSession): UiaSession {
    const session = this.#live(id);
    if (session === null) throw unknownSession();
    const isSame =
      session.userId === purpose.userId &&
      session.method === purpose.method &&
      session.path === purpose.path &&
      session.bodyMac === purpose.bodyMac;
    if (!isSame) throw forbidden('The authentication session was begun for another request.');
    return session;
  }

  #macOf(body: JsonObject): string {
    return createHmac('sha256', this.#macKey)
      .update(canonicalJson(body, { strict: false }))
      .digest('base64url');
  }

  #challenge(id: string, session: UiaSession, refusal?: MatrixError): RawReply {
    const { flows } = session;
    const params: Record<string, JsonObject> = {};
    for (const type of new Set(flows.flat())) {
      const stage = this.#deps.stages[type];
      if (stage?.params !== undefined) params[type] = stage.params;
    }
    const body = {
      ...(refusal === undefined ? {} : { errcode: refusal.errcode, error: refusal.message }),
      flows: flows.map((stages) => ({ stages })),
      params,
      session: id,
      completed: [...session.completed],
    };
    return new RawReply(401, { 'Content-Type': 'application/json' }, JSON.stringify(body));
  }
}

/** Whether a stage could not look at a proof just now, so that the client may come again with the same. */
const isNoVerdict = ({ status }: MatrixError): boolean => status === 429 || status >= 500;

/** Proves nothing, and so that a client has asked on purpose. */
export const dummyStage: Stage = { check: async () => undefined };

/** Proves that whoever asks knows the password of the account that it is logged in with. */
export function passwordStage({ accounts }: { accounts: Accounts }): Stage {
  return {
    async check(auth, { userId }): Promise<undefined> {
      const name = loginNameOf(auth);
      const password = auth['password'];
      if (name === null || typeof password !== 'string') throw badJson('The stage needs an identifier and a password.');
      const user = await accounts.checkPassword(name, password);
      if (user.userId !== userId) throw new ProofOfAnother();
      return undefined;
    },
  };
}

/** The user that a login or a stage names: `identifier` of type `m.id.user`, or the old `user`. Null where none. */
export function loginNameOf(request: Readonly<Record<string, unknown>>): string | null {
  const identifier = request['identifier'];
  if (typeof identifier === 'object' && identifier !== null) {
    const { type, user } = identifier as { type?: unknown; user?: unknown };
    return type === 'm.id.user' && typeof user === 'string' ? user : null;
  }
  return typeof request['user'] === 'string' ? request['user'] : null;
}
