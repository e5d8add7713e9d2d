/** Asking many servers for keys at one time: what one does not answer takes nothing from the others. */
import type { ServerName } from '../core/ids.ts';
import type { JsonObject } from '../core/json-value.ts';
import { RemoteError } from '../remote/remote-error.ts';

/** What became of servers that gave no answer, as clients get it. */
export type Failures = Record<string, JsonObject>;

/** The longest and the shortest that a client may have other servers waited for. */
const TIMEOUT_MS_MAX = 60_000;
const TIMEOUT_MS_DEFAULT = 10_000;
/** How many servers one request asks at most, and at one time. */
const SERVERS_MAX = 1000;
const AT_ONCE = 50;

/** How long servers are waited for. */
export function boundedTimeout(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) return TIMEOUT_MS_DEFAULT;
  return Math.min(Math.max(timeoutMs, 1), TIMEOUT_MS_MAX);
}

/** Asks servers, some at a time; gives what went wrong by server. Throws only what is a fault of ours. */
export async function askServers(
  servers: readonly ServerName[],
  ask: (server: ServerName) => Promise<void>,
): Promise<Failures> {
  const failures: Failures = {};
  const waiting = servers.slice(0, SERVERS_MAX);
  for (const server of servers.slice(SERVERS_MAX)) failures[server] = failure(503, 'Too many servers at one time.');
  const worker = async (): Promise<void> => {
    for (let server = waiting.shift(); server !== undefined; server = waiting.shift()) {
      try {
        await ask(server);
      } catch (error) {
        if (!(error instanceof RemoteError)) throw error;
        failures[server] = failure(error.fault === 'backing-off' ? 503 : error.status, error.message);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, waiting.length) }, worker));
  return failures;
}

const failure = (status: number, message: string): JsonObject => ({ status, message, errcode: 'M_UNREACHABLE' });
