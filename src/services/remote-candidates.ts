/** Which servers are asked for a deed in a room that we are not in, and what is said where none of them does it. */
import { MatrixError } from '../core/errors.ts';
import type { ServerName } from '../core/ids.ts';
import type { Clock } from '../kit/clock.ts';
import { RemoteError } from '../remote/remote-error.ts';

/** How many servers are asked for one deed: whoever names them may name as many as they like. */
const CANDIDATES_MAX = 10;
/** How long after the first one was asked a further one is. */
const ASKING_MAX_MS = 60_000;

export type Candidates = {
  /** Those whom somebody named for this. */
  readonly named: readonly ServerName[];
  /** Those that may be in the room, too. */
  readonly further: readonly ServerName[];
};

/** The first few of the servers, each once, without our own. */
export function candidatesOf(
  named: Iterable<ServerName | null>,
  further: Iterable<ServerName | null>,
  own: ServerName,
): Candidates {
  const seen = new Set<ServerName>();
  const take = (servers: Iterable<ServerName | null>): ServerName[] => {
    const taken: ServerName[] = [];
    for (const server of servers) {
      if (seen.size === CANDIDATES_MAX) break;
      if (server === null || server === own || seen.has(server)) continue;
      seen.add(server);
      taken.push(server);
    }
    return taken;
  };
  return { named: take(named), further: take(further) };
}

/**
 * Asks one server after the other until one does the deed. Where one of those named refuses by a rule of the room, the
 * further ones are left alone: they were to help out where nobody else can be asked.
 *
 * @throws MatrixError what is most worth telling: a refusal that others pass on, else what happened first
 */
export async function firstToDo<T>(
  { clock, note }: { readonly clock: Clock; readonly note: (server: ServerName, error: RemoteError) => void },
  { named, further }: Candidates,
  deed: (server: ServerName) => Promise<T>,
): Promise<T> {
  const untilMs = clock.now() + ASKING_MAX_MS;
  const failures: RemoteError[] = [];
  for (const [index, server] of [...named, ...further].entries()) {
    if (failures.length > 0 && clock.now() > untilMs) break;
    if (index === named.length && failures.some((failure) => worthOf(passedOn(failure)) === RULE_OF_THE_ROOM)) break;
    try {
      return await deed(server);
    } catch (error) {
      // A refusal of our own, or a bug: with the next server it would be the same.
      if (!(error instanceof RemoteError)) throw error;
      note(server, error);
      failures.push(error);
    }
  }
  const told = failures.map(passedOn).sort((left, right) => worthOf(right) - worthOf(left))[0];
  throw told ?? new RemoteError('unreachable', 'There is no server to ask.');
}

/**
 * What a client may hear of another server's refusal. Only what it can act on, and nothing that it would take for our
 * own word on its session.
 */
const PASSED_ON: ReadonlyMap<string, number> = new Map([
  ['M_FORBIDDEN', 403],
  ['M_INCOMPATIBLE_ROOM_VERSION', 400],
  ['M_UNABLE_TO_AUTHORISE_JOIN', 400],
  ['M_UNABLE_TO_GRANT_JOIN', 400],
  ['M_RESOURCE_LIMIT_EXCEEDED', 403],
  ['M_INVITE_BLOCKED', 403],
  ['M_NOT_FOUND', 404],
]);

/** Another server's refusal as ours. */
export function passedOn(error: RemoteError): MatrixError {
  if (error.fault !== 'refused') return error;
  const errcode = error.remoteErrcode ?? '';
  const status = PASSED_ON.get(errcode);
  if (status === undefined || error.remoteStatus === null || error.remoteStatus >= 500) return error;
  const version = error.remoteBody?.['room_version'];
  const fields =
    errcode === 'M_INCOMPATIBLE_ROOM_VERSION' && typeof version === 'string' ? { room_version: version } : {};
  return new MatrixError(status, errcode, error.message, fields);
}

const RULE_OF_THE_ROOM = 3;

/** How much a refusal tells: a rule of the room more than "not here", and that more than silence. */
function worthOf(error: MatrixError): number {
  if (error instanceof RemoteError) return error.fault === 'blocked' ? 0 : 1;
  return error.errcode === 'M_NOT_FOUND' ? 2 : RULE_OF_THE_ROOM;
}
