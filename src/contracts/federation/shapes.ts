/** Shapes that several operations between servers share. */
import { anyObject, array } from '../../http/schema.ts';

/** Events as they travel. What each of them is worth, the checks on receipt find out. */
export const pdus = array(anyObject);

/** How many event IDs one question may name. */
export const MISSING_EVENTS_MAX = 100;

/** The whole state of a large room, and all that it stands on. */
export const STATE_BYTES_MAX = 512 * 1024 * 1024;
