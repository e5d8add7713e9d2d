/**
 * The server that end-to-end tests speak to: our binary on a fresh directory, on SQLite and on PostgreSQL
 * (`MYELIN_E2E_DATABASE=sqlite` or `postgres` for one of them); or, with `MYELIN_E2E_URL` and
 * `MYELIN_E2E_SHARED_SECRET`, any other server, to see whether a test asks what the specification promises.
 */
import { randomBytes } from 'node:crypto';
import { Homeserver } from '../support/homeserver.ts';
import { startPostgres } from '../support/postgres.ts';
import { type Account, registerAccount } from '../support/shared-secret.ts';

export type E2eServer = {
  readonly url: string;
  /** Registers a new user whose ID begins with the name. */
  account(name: string): Promise<Account>;
  close(): Promise<void>;
};

/** What to run the tests on: both databases, unless the environment says otherwise. */
export function e2eKinds(): readonly string[] {
  if (process.env['MYELIN_E2E_URL'] !== undefined) return ['the given server'];
  const wanted = process.env['MYELIN_E2E_DATABASE'];
  return wanted === undefined ? ['sqlite', 'postgres'] : [wanted];
}

export async function e2eServer(kind: string, config: Readonly<Record<string, unknown>> = {}): Promise<E2eServer> {
  const accountsOf = (url: string, secret: string) => ({
    url,
    account: (name: string) => registerAccount(url, secret, `${name}-${randomBytes(4).toString('hex')}`),
  });
  const givenUrl = process.env['MYELIN_E2E_URL'];
  if (givenUrl !== undefined) {
    return { ...accountsOf(givenUrl, process.env['MYELIN_E2E_SHARED_SECRET'] ?? ''), close: async () => {} };
  }
  const postgres = kind === 'postgres' ? await startPostgres() : null;
  try {
    const database = await postgres?.createDatabase('e2e');
    const server = await Homeserver.start({ config, ...(database === undefined ? {} : { postgres: database }) });
    return {
      ...accountsOf(server.url, server.sharedSecret),
      async close(): Promise<void> {
        await server.remove();
        await postgres?.stop();
      },
    };
  } catch (error) {
    await postgres?.stop();
    throw error;
  }
}
