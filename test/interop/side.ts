/** The two servers of a trial, alike for those who try them: each can be started, killed and started again. */

import { TestUser } from '../../src/testing/test-client.ts';
import { registerAccount } from '../support/shared-secret.ts';

export interface Side {
  /** What the program is called. */
  readonly kind: string;
  readonly serverName: string;
  readonly url: string;
  readonly sharedSecret: string;
  readonly logPath: string;
  /** Starts it, also again on what it left; resolves when it answers. */
  start(): Promise<void>;
  /** Ends it as a power failure of the process would. */
  kill(): Promise<void>;
  /** Ends it and takes away all that it left. */
  remove(): Promise<void>;
}

let accounts = 0;

/** A new user of a server, logged in. */
export async function newUser(side: Side, name: string): Promise<TestUser> {
  const account = await registerAccount(side.url, side.sharedSecret, `${name}${++accounts}`);
  return new TestUser(() => side.url, account);
}
