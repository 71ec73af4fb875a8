// Keys and signatures that are not nompd-sync's own, for the tests.
//
//	node jwt.mjs key ALG		a new private key, as a JWK
//	node jwt.mjs sign CLAIMS	a JWT of the claims (JSON), signed with the
//					private JWK on standard input
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK,
  SignJWT } from 'jose';
import { readFileSync } from 'node:fs';

const STANDARD_INPUT = 0;
const [verb, argument] = process.argv.slice(2);

async function newKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(privateKey);
  const kid = await calculateJwkThumbprint(jwk);
  return JSON.stringify({ ...jwk, kid, alg, key_ops: ['sign'] });
}

async function sign(claims) {
  const jwk = JSON.parse(readFileSync(STANDARD_INPUT, 'utf8'));
  return new SignJWT(claims)
    .setProtectedHeader({ alg: jwk.alg, kid: jwk.kid, typ: 'JWT' })
    .sign(await importJWK(jwk, jwk.alg));
}

console.log(verb === 'key' ? await newKey(argument)
  : await sign(JSON.parse(argument)));
