/** What the tests of specification versions share: one server a file, and users of their own for each test. */
import { after } from 'node:test';
import type { TestUser } from '../../src/testing/test-client.ts';
import { type ConfigChanges, type TestServer, testServer } from '../../src/testing/test-server.ts';

/** JSON as it came; the asserts say what it must be. */
export type Json = ReturnType<typeof JSON.parse>;

export type Scene = {
  readonly server: TestServer;
  /** A new user, whose name nobody else has. */
  user(options?: { isAdmin?: boolean }): Promise<TestUser>;
};

export async function scene(config: ConfigChanges = {}): Promise<Scene> {
  const server = await testServer({ after: (end: () => Promise<void>) => after(end) }, { config });
  let count = 0;
  return { server, user: (options) => server.user(`user${++count}`, options) };
}

/** `M_FORBIDDEN` and its status, as one text to compare. */
export const refusalOf = ({ status, body }: { status: number; body: Json }): string => `${status} ${body.errcode}`;
