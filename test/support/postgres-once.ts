/**
 * For `node --test --test-global-setup=test/support/postgres-once.ts`: one PostgreSQL for all test files, which find
 * it through the environment. Without it each file that asks starts a server of its own.
 */
import { startPostgres, type TestPostgres } from './postgres.ts';

let server: TestPostgres | undefined;

export async function globalSetup(): Promise<void> {
  server = await startPostgres();
  process.env['MYELIN_TEST_POSTGRES'] = server.url;
}

export async function globalTeardown(): Promise<void> {
  await server?.stop();
}
