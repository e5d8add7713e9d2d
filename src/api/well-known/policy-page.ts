/** The pages of this server's policies, which clients show to whoever registers. */
import { notFound } from '../../core/errors.ts';
import { type Endpoint, endpoint, RawReply } from '../../http/endpoint.ts';
import { empty, object, optional, string } from '../../http/schema.ts';
import type { Policies } from '../../services/policies.ts';

// The page is its author's: it may look as they like, and bring pictures; it runs nothing and sends nothing.
const POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline' https:",
  'img-src https: data:',
  'font-src https:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export const policyPageEndpoints = ({ policies }: { policies: Policies | null }): Endpoint[] => [
  endpoint({
    name: 'getPolicyPage',
    method: 'GET',
    path: '/_matrix/consent',
    auth: 'none',
    query: object({ v: optional(string) }),
    reply: empty,
    handler({ query }) {
      const page = policies?.pageOf(query.v) ?? null;
      if (page === null) throw notFound('There is no such version of a policy here.');
      const headers = {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      };
      return new RawReply(200, headers, page);
    },
  }),
];
