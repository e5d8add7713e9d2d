/** All attacks, in the order of docs/threats.md, and the lines that cannot be run yet. */
import type { Attack, Later } from './attack.ts';
import { BODY_ATTACKS } from './bodies.ts';
import { SECTION_A } from './events.ts';
import { EXHAUSTION_ATTACKS } from './exhaustion.ts';
import { MEMBERSHIP_ATTACKS } from './memberships.ts';
import { SERVER_ATTACKS } from './servers.ts';
import { STATE_ATTACKS } from './state.ts';

const numberOf = ({ line }: Attack): number => Number(line.slice(1));
const inOrder = (attacks: readonly Attack[]): Attack[] =>
  [...attacks].sort((left, right) => numberOf(left) - numberOf(right));

export const ATTACKS: readonly Attack[] = [
  ...SECTION_A,
  ...inOrder([...MEMBERSHIP_ATTACKS, ...STATE_ATTACKS]),
  ...inOrder([...EXHAUSTION_ATTACKS, ...BODY_ATTACKS, ...SERVER_ATTACKS]),
];

export const LATER: readonly Later[] = [
  { line: 'B13', name: 'a policy server that lies or is slow', waitsFor: 'policy servers' },
  { line: 'C12', name: 'floods of device list changes', waitsFor: 'encryption between servers' },
  { line: 'C13', name: 'floods to devices', waitsFor: 'encryption between servers' },
];
