import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { seededRandom } from './random.ts';
import { makeSelfSigned } from './self-signed.ts';

const nowMs = Date.UTC(2026, 10, 23);

for (const [host, altName] of [
  ['machine.my.domain.name', 'DNS:machine.my.domain.name'],
  [`${'a'.repeat(60)}.${'b'.repeat(60)}.example`, `DNS:${'a'.repeat(60)}.${'b'.repeat(60)}.example`],
  ['192.0.2.1', 'IP Address:192.0.2.1'],
  ['2001:db8::1', 'IP Address:2001:DB8:0:0:0:0:0:1'],
] as const) {
  test(`a certificate for ${host.slice(0, 24)} names it, verifies by its own key and can be served`, () => {
    const { certificatePem, privateKeyPem } = makeSelfSigned(host, { nowMs, validDays: 3652, random: seededRandom(1) });

    const certificate = new X509Certificate(certificatePem);
    assert.equal(certificate.subject, `CN=${host.slice(0, 64)}`);
    assert.equal(certificate.subjectAltName, altName);
    assert.ok(certificate.verify(certificate.publicKey));
    assert.equal(certificate.validFrom, 'Nov 22 00:00:00 2026 GMT');
    assert.equal(certificate.validTo, 'Nov 22 00:00:00 2036 GMT');
    assert.doesNotThrow(() => createSecureContext({ cert: certificatePem, key: privateKeyPem }));
  });
}

test('a certificate that outlives 2049 is dated with its century', () => {
  const { certificatePem } = makeSelfSigned('a', { nowMs, validDays: 36_525, random: seededRandom(2) });

  assert.match(new X509Certificate(certificatePem).validTo, /2126 GMT$/);
});
