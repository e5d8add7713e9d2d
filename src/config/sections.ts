/** All sections of the configuration, in the order of the documentation, and the type that they add up to. */

import { consentSection } from './consent.ts';
import { type DatabaseConfig, databaseSection } from './database.ts';
import { emailSection } from './email.ts';
import { federationSection } from './federation.ts';
import type { SectionValues } from './key.ts';
import { keysSection } from './keys.ts';
import { type Listener, listenersSection } from './listeners.ts';
import { loggingSection } from './logging.ts';
import { mediaSection } from './media.ts';
import { metricsSection } from './metrics.ts';
import { presenceSection } from './presence.ts';
import { profilesSection } from './profiles.ts';
import { pushSection } from './push.ts';
import { rateLimitsSection } from './rate-limits.ts';
import { registrationSection } from './registration.ts';
import { retentionSection } from './retention.ts';
import { roomsSection } from './rooms.ts';
import { serverSection } from './server.ts';
import { sessionsSection } from './sessions.ts';
import { tlsSection } from './tls.ts';
import { turnSection } from './turn.ts';
import { userDirectorySection } from './user-directory.ts';
import { wellKnownSection } from './well-known.ts';

export const sections = {
  server: serverSection,
  listeners: listenersSection,
  tls: tlsSection,
  wellKnown: wellKnownSection,
  database: databaseSection,
  logging: loggingSection,
  registration: registrationSection,
  consent: consentSection,
  sessions: sessionsSection,
  rateLimits: rateLimitsSection,
  rooms: roomsSection,
  profiles: profilesSection,
  presence: presenceSection,
  userDirectory: userDirectorySection,
  keys: keysSection,
  federation: federationSection,
  media: mediaSection,
  turn: turnSection,
  push: pushSection,
  email: emailSection,
  retention: retentionSection,
  metrics: metricsSection,
} as const;

/** What the sections read, each for itself. */
export type SectionsRead = { readonly [K in keyof typeof sections]: SectionValues<(typeof sections)[K]> };

/**
 * Everything an admin can set, by section. Durations are milliseconds, sizes bytes; null means "not set" or "off", as
 * docs/config.md says for each key. Paths of files are as written: relative to the working directory.
 */
export type Config = Omit<SectionsRead, 'listeners' | 'database' | 'keys'> & {
  readonly listeners: readonly Listener[];
  readonly database: DatabaseConfig;
  readonly keys: Omit<SectionsRead['keys'], 'signingKeyPath' | 'trustedKeyServers'> & {
    readonly signingKeyPath: string;
    readonly trustedKeyServers: NonNullable<SectionsRead['keys']['trustedKeyServers']>;
  };
};
