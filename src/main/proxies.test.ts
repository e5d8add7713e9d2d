import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxiesOf } from './proxies.ts';

test('the configuration counts before the environment, whose HTTP_PROXY in capitals nobody reads', () => {
  const config = (federation: object) => ({
    federation: { httpProxy: null, httpsProxy: null, noProxyHosts: null, ...federation } as never,
  });
  const env = { HTTP_PROXY: 'evil', HTTPS_PROXY: 'env', no_proxy: 'near.test,.inner.test' };
  const to = (host: string, tls: object | null = {}) => ({ host, port: 443, tls });

  const byEnv = proxiesOf(config({}), env);
  assert.equal(byEnv(to('far.test'))?.host, 'env');
  assert.deepEqual(
    [byEnv(to('near.test')), byEnv(to('a.inner.test')), byEnv(to('far.test', null))],
    [null, null, null],
  );
  const byConfig = proxiesOf(config({ httpsProxy: 'own', noProxyHosts: [] }), env);
  assert.equal(byConfig(to('near.test'))?.host, 'own');
  assert.throws(
    () => proxiesOf(config({ httpProxy: 'socks5://x' }), env),
    /http_proxy, https_proxy: A proxy is said as/,
  );
});
