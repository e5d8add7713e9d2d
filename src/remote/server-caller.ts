/** What keys need of whoever calls other servers. */
import type { InputOf, Operation, ReplyOf } from '../contracts/operation.ts';
import type { ServerName } from '../core/ids.ts';

/** Who calls other servers. `FederationClient` does. */
export interface ServerCaller {
  call<O extends Operation & { readonly replyKind: 'json' }>(
    destination: ServerName,
    operation: O,
    input: InputOf<O>,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal; readonly ignoresBackOff?: boolean },
  ): Promise<ReplyOf<O>>;
}
