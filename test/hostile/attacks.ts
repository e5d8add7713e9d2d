/** All attacks, in the order of docs/threats.md. */
import type { Attack } from './attack.ts';
import { BODY_ATTACKS } from './bodies.ts';
import { ENCRYPTION_ATTACKS } from './encryption.ts';
import { SECTION_A } from './events.ts';
import { EXHAUSTION_ATTACKS } from './exhaustion.ts';
import { MEMBERSHIP_ATTACKS } from './memberships.ts';
import { SERVER_ATTACKS } from './servers.ts';
import { STATE_ATTACKS } from './state.ts';

const placeOf = ({ line }: Attack): number => line.charCodeAt(0) * 100 + Number(line.slice(1));

export const ATTACKS: readonly Attack[] = [
  ...SECTION_A,
  ...MEMBERSHIP_ATTACKS,
  ...STATE_ATTACKS,
  ...EXHAUSTION_ATTACKS,
  ...BODY_ATTACKS,
  ...SERVER_ATTACKS,
  ...ENCRYPTION_ATTACKS,
].sort((left, right) => placeOf(left) - placeOf(right));
