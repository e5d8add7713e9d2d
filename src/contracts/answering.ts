/** The endpoint that answers to a contract: what both sides must know is declared there, and not written twice. */
import { type Endpoint, type EndpointDeclaration, endpoint } from '../http/endpoint.ts';
import type { Schema } from '../http/schema.ts';
import type { Operation, ReplyKind } from './operation.ts';

/** What only who answers must know. */
type Answer<A extends 'server' | 'none', P extends Schema, Q extends Schema, B extends Schema, R extends Schema> = Pick<
  EndpointDeclaration<A, P, Q, B, R>,
  'rateLimit' | 'alsoAt' | 'bodyBytesMax' | 'handler'
>;

/** Declares the endpoint of an operation: name, method, paths, auth and schemas are those of its contract. */
export function answering<
  P extends Schema,
  Q extends Schema,
  B extends Schema,
  R extends Schema,
  K extends ReplyKind,
  A extends 'server' | 'none',
>(operation: Operation<P, Q, B, R, K, A>, answer: Answer<A, P, Q, B, R>): Endpoint {
  const { name, method, path, auth, params, query, body, reply } = operation;
  return endpoint<A, R, P, Q, B>({ name, method, path, auth, params, query, body, reply, ...answer });
}
