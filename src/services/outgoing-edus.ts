/** EDUs for other servers that must not be lost: put down together with what they tell of. */
import type { ServerName } from '../core/ids.ts';
import { canonicalJson } from '../core/json.ts';
import type { JsonObject } from '../core/json-value.ts';
import { deleteReplacedEdus, insertOutgoingEdu, insertOutgoingEduTarget } from '../storage/outgoing-edus.ts';
import type { Statement } from '../storage/sql.ts';
import type { Stream } from '../stream/stream.ts';

/** The largest EDU (spec v1.19, "Limits on data units" of PDUs; servers go by it for EDUs too). */
export const EDU_BYTES_MAX = 65_536;

/** An EDU, and the servers that it is for. `key`: it takes the place of those of the same key that still wait. */
export type EduFor = {
  readonly destinations: readonly ServerName[];
  readonly type: string;
  readonly content: JsonObject;
  readonly key?: string;
};

/** What puts EDUs down; whoever commits it tells of `destinations` with its change (`edusTo`). */
export function outgoingEdus(
  stream: Stream,
  edus: readonly EduFor[],
): { readonly statements: Statement[]; readonly destinations: ServerName[] } {
  const statements: Statement[] = [];
  for (const { destinations, type, content, key } of edus) {
    if (destinations.length === 0) continue;
    const eduNo = stream.issueNumber();
    if (key !== undefined) statements.push(deleteReplacedEdus(destinations, key));
    const edu = canonicalJson({ edu_type: type, content }, { strict: false });
    statements.push(insertOutgoingEdu({ eduNo, edu }));
    for (const destination of destinations) {
      statements.push(insertOutgoingEduTarget(destination, eduNo, key ?? null));
    }
  }
  return { statements, destinations: [...new Set(edus.flatMap(({ destinations }) => destinations))] };
}
